// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/setup.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/fakes/fake_qemu.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// What a QEMU answers: the list of a folder of objects, a property as "FOLDER PROPERTY", a query.
using Answers = std::map<std::string, std::string>;

Result<GuestSetup> asked(const Answers& answers) {
  fakes::FakeQemu qemu;
  const auto of = [&answers](const std::string& name) -> std::string {
    const auto found = answers.find(name);
    return found != answers.end()
               ? found->second
               : R"({"error": {"class": "GenericError", "desc": "there is no such thing"}})";
  };
  const auto query = [&of](const char* name) {
    return [&of, name](const Json&, auto&) { return of(name); };
  };
  qemu.serve({{"qom-list", [&](const Json& words, auto&) { return of(words.at("path")); }},
              {"qom-get",
               [&](const Json& words, auto&) {
                 return of(words.at("path").get<std::string>() + " " +
                           words.at("property").get<std::string>());
               }},
              {"query-name", query("query-name")},
              {"query-memdev", query("query-memdev")},
              {"query-migrate-capabilities", query("query-migrate-capabilities")}});
  auto monitor = qmp::Client::open(qemu.client_end());
  if (!monitor) {
    return tl::unexpected(monitor.error());
  }
  auto setup = ask_setup(*monitor);
  { const qmp::Client gone = *std::move(monitor); }
  for (const std::string& command : qemu.finish()) {
    EXPECT_TRUE(command.starts_with("query-") || command.starts_with("qom-") ||
                command == "qmp_capabilities")
        << command;
  }
  return setup;
}

TEST(AskSetup, SeesDevicesWithAndWithoutAName) {
  const auto setup = asked({
      {"query-name", R"({"name": "vm1"})"},
      {"/machine/peripheral", R"([{"name": "panic", "type": "child<pvpanic-pci>"},
                                {"name": "agent", "type": "child<virtserialport>"},
                                {"name": "dump", "type": "child<virtserialport>"}])"},
      {"/machine/peripheral/agent name", R"("org.qemu.guest_agent.0")"},
      {"/machine/peripheral/dump name", R"("org.vmcorectl.dump.0")"},
      {"/machine/peripheral-anon", R"([{"name": "device[0]", "type": "child<vmcoreinfo>"}])"},
      {"/objects", R"([{"name": "type", "type": "string"},
                       {"name": "ram0", "type": "child<memory-backend-memfd>"}])"},
      {"query-memdev", R"([{"id": "ram0", "share": true, "size": 4096}])"},
  });
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_EQ(setup->name, "vm1");
  EXPECT_TRUE(setup->panic_device);
  EXPECT_TRUE(setup->vmcoreinfo_device);
  EXPECT_TRUE(setup->dump_channel);
  EXPECT_EQ(setup->memory, "memfd");
  EXPECT_TRUE(setup->memory_shared);
  EXPECT_EQ(setup->encryption, "");
  EXPECT_FALSE(setup->on_crash);
  EXPECT_FALSE(setup->snapshot_left_on);
}

TEST(AskSetup, AQemuThatTellsNothingIsNoError) {
  const auto setup = asked({});
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_FALSE(setup->panic_device);
  EXPECT_FALSE(setup->dump_channel);
  EXPECT_EQ(setup->encryption, "");
}

TEST(AskSetup, AnswersOfAnotherShapeAreNone) {
  const auto setup = asked({{"/machine/peripheral", R"({"pvpanic": 1})"},
                            {"/objects", R"([3, null, {"type": 4}])"},
                            {"query-memdev", R"([{"share": "yes"}, 7])"},
                            {"/machine confidential-guest-support", R"({"a": 1})"},
                            {"query-migrate-capabilities", R"("background-snapshot")"}});
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_FALSE(setup->panic_device);
  EXPECT_FALSE(setup->memory_shared);
  EXPECT_EQ(setup->encryption, "");
}

TEST(AskSetup, NamesWhatEncryptsMemory) {
  const auto setup = asked({{"/machine confidential-guest-support", R"("/objects/lsec0")"},
                            {"/objects/lsec0 type", R"("sev-snp-guest")"}});
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_EQ(setup->encryption, "sev-snp-guest");
  EXPECT_EQ(asked({{"/machine confidential-guest-support", R"("")"}})->encryption, "");
}

TEST(AskSetup, SeesASnapshotThatWasLeftOn) {
  const auto setup =
      asked({{"query-migrate-capabilities", R"([{"capability": "xbzrle", "state": true},
                                          {"capability": "background-snapshot", "state": true}])"}});
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_TRUE(setup->snapshot_left_on);
}

}  // namespace
}  // namespace vmcore::acquire
