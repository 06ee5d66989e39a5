// SPDX-License-Identifier: GPL-2.0-or-later
// Configuration files: their values take effect, and each error is reported with its line.
#include "src/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "src/base/whole_file.h"
#include "src/config/keys.h"

namespace vmcore::config {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Configs : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "vmcorectl-config-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    ::umask(022);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& text, const std::string& name = "vmcored.conf") {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }

  Result<Config> loaded(const std::string& text) { return load(write(text)); }

  // All errors of a file, without the path.
  std::vector<std::string> errors(const std::string& text) {
    std::vector<std::string> messages;
    const std::string path = write(text);
    for (const Error& error : check(path).errors) {
      EXPECT_EQ(error.code, Errc::malformed);
      EXPECT_TRUE(error.message.starts_with(path)) << error.message;
      messages.push_back(error.message.substr(std::min(path.size(), error.message.size())));
    }
    return messages;
  }

  fs::path folder_;
};

TEST_F(Configs, AFileThatIsNotThere) {
  const auto config = load(folder_ / "none.conf");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Errc::not_found);
}

TEST_F(Configs, AnEmptyFileHasTheDefaults) {
  const auto config = loaded("");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(effective_text(*config), effective_text({}));
}

TEST_F(Configs, EachKey) {
  const auto config = loaded(R"([service]
connect = ["qemu:///system", "lxc:///"]
qmp-folders = ["/run/qmp"]
dumps = 3
hooks = ""
memory = "3GiB"
threads = 6
hook-limit = "90s"
hook-user = "nobody"
self-check = false
scripts = ["/etc/look.py"]
script-limit = "2m"
metrics = "/run/vmcored.prom"
[store]
folder = "/srv/crashes"
max-size = "20GiB"
max-share = "none"
keep-free = "512MiB"
keep-free-share = "5%"
max-count = 100
max-age = "30d"
[guests]
arm = true
after-crash = "restart"
after-crash-default = "preserve"
on-hang = "nmi"
level = 1
kdump-limit = "1h"
dump-limit = "2h"
repeat-window = "12h"
rate-window = "30m"
guest-rate = 7
signature-rate = 8
store-size = "1GiB"
store-count = 5
)");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(config->uris, ElementsAre("qemu:///system", "lxc:///"));
  EXPECT_THAT(config->qmp_folders, ElementsAre("/run/qmp"));
  EXPECT_EQ(config->dumps, 3U);
  EXPECT_EQ(config->memory, 3ULL << 30);
  EXPECT_EQ(config->threads, 6U);
  EXPECT_EQ(config->hooks, "");
  EXPECT_EQ(config->hook_limit, seconds(90));
  EXPECT_EQ(config->hook_user, "nobody");
  EXPECT_FALSE(config->self_check);
  EXPECT_THAT(config->scripts, ElementsAre("/etc/look.py"));
  EXPECT_EQ(config->script_limit, seconds(120));
  EXPECT_EQ(config->metrics, "/run/vmcored.prom");
  EXPECT_EQ(config->store, "/srv/crashes");
  EXPECT_EQ(config->budget.bytes, 20ULL << 30);
  EXPECT_EQ(config->budget.share, std::nullopt);
  EXPECT_EQ(config->budget.free_bytes, 512ULL << 20);
  EXPECT_EQ(config->budget.free_share, 5U);
  EXPECT_EQ(config->budget.count, 100U);
  EXPECT_EQ(config->budget.age, seconds(30 * 86'400));
  EXPECT_EQ(config->budget.guest_bytes, 1ULL << 30);
  EXPECT_EQ(config->budget.guest_count, 5U);
  const GuestPolicy policy = config->policy_of("vm1", "");
  EXPECT_TRUE(policy.arm);
  EXPECT_EQ(policy.after_crash, AfterCrash::restart);
  EXPECT_EQ(policy.after_crash_default, AfterCrash::preserve);
  EXPECT_EQ(policy.on_hang, OnHang::nmi);
  EXPECT_EQ(policy.level, 1U);
  EXPECT_EQ(policy.kdump_limit, seconds(3600));
  EXPECT_EQ(policy.dump_limit, seconds(7200));
  EXPECT_EQ(policy.memory.repeat_window, seconds(43'200));
  EXPECT_EQ(policy.memory.rate_window, seconds(1800));
  EXPECT_EQ(policy.memory.guest_most, 7U);
  EXPECT_EQ(policy.memory.signature_most, 8U);
}

TEST_F(Configs, WhatIsPrintedIsReadAsTheSame) {
  const auto config = loaded(
      "[service]\nconnect = ['a:\"b\"\\']\nmetrics = '/m'\n[store]\nmax-size = '5KiB'\n"
      "[guests]\nlevel = 3\n[guest.'we\"b*']\nlevel = 0\narm = true\n[guest.b]\nstore-size = "
      "'none'\n");
  ASSERT_TRUE(config) << config.error().message;
  const std::string text = effective_text(*config);
  const auto again = loaded(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(effective_text(*again), text);
}

TEST_F(Configs, SectionsOfGuests) {
  const auto config = loaded(R"([guests]
level = 1
[guest."web*"]
level = 17
after-crash = "destroy"
store-count = 9
[guest."1B4E28BA-2FA1-11D2-883F-0016D3CCA427"]
level = 16
[guest."web1"]
level = 31
[guest."a[b]"]
level = 7
)");
  ASSERT_TRUE(config) << config.error().message;
  const auto level = [&](const char* name, const char* uuid = "") {
    return config->policy_of(name, uuid).level;
  };
  EXPECT_EQ(level("db"), 1U);
  EXPECT_EQ(level("web2"), 17U);
  EXPECT_EQ(level("web1"), 31U);
  EXPECT_EQ(level("db", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"), 16U);
  EXPECT_EQ(level("a[b]"), 7U);  // the name itself
  EXPECT_EQ(level("ab"), 7U);    // and as a pattern
  EXPECT_EQ(level("WEB1"), 1U);
  EXPECT_EQ(config->policy_of("web1", "").after_crash, AfterCrash::destroy);
  EXPECT_EQ(config->budget.limits_of("web1", "").count, 9U);
  EXPECT_EQ(config->budget.limits_of("db", "").count, std::nullopt);
}

TEST_F(Configs, TheOrderIsThatOfTheFile) {
  const auto config = loaded("[guest.'z*']\nlevel = 2\n[guest.'*1']\nlevel = 3\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->policy_of("z1", "").level, 3U);
  EXPECT_EQ(loaded("[guest.'*1']\nlevel = 3\n[guest.'z*']\nlevel = 2\n")->policy_of("z1", "").level,
            2U);
}

TEST_F(Configs, LaterFilesWin) {
  const fs::path main =
      write("[service]\ndumps = 1\n[guests]\nlevel = 1\n[guest.vm1]\nlevel = 2\n");
  write("[service]\ndumps = 5\n[guest.vm1]\nlevel = 5\n", "conf.d/20-b.conf");
  write("[service]\ndumps = 4\nhook-limit = '5s'\n", "conf.d/10-a.conf");
  write("nonsense", "conf.d/30-c.conf.bak");
  write("nonsense", "conf.d/.40-d.conf");
  const auto config = load(main);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->dumps, 5U);
  EXPECT_EQ(config->hook_limit, seconds(5));
  EXPECT_EQ(config->policy_of("vm1", "").level, 5U);
  EXPECT_EQ(config->policy_of("vm2", "").level, 1U);
}

TEST_F(Configs, EachErrorIsNamedWithItsLine) {
  EXPECT_THAT(errors(R"([service]
dumps = 0
dump = 2
[store]
max-size = 20
max-share = "101%"

max-age = 5
[guest."a b"]
level = 32
arm = "true"
arme = true
)"),
              ElementsAre(AllOf(HasSubstr(":2: [service] dumps: 0 is not allowed"),
                                HasSubstr("from 1 to 64")),
                          HasSubstr(":3: [service] has no key dump: write dumps"),
                          AllOf(HasSubstr(":5: [store] max-size:"), HasSubstr("\"20GiB\"")),
                          HasSubstr(":6: [store] max-share:"), HasSubstr(":8: [store] max-age:"),
                          AllOf(HasSubstr(":10: [guest."), HasSubstr("from 0 to 31")),
                          HasSubstr("write true or false"), HasSubstr(":12: ")));
}

TEST_F(Configs, WrongForms) {
  EXPECT_THAT(errors("[service]\ndumps = \n"), ElementsAre(HasSubstr(":2: ")));
  EXPECT_THAT(errors("[service]\ndumps = 1\ndumps = 2\n"), ElementsAre(HasSubstr(":3: ")));
  EXPECT_THAT(errors("dumps = 1\n"), ElementsAre(HasSubstr("below [service]")));
  EXPECT_THAT(errors("[stroe]\n"),
              ElementsAre(HasSubstr("there is no section [stroe]: write store")));
  EXPECT_THAT(errors("[guest]\nlevel = 1\n"),
              ElementsAre(HasSubstr(":2: [guest] has no key level")));
  EXPECT_THAT(errors("[guest.\"a\\nb\"]\nlevel = 1\n"), ElementsAre(HasSubstr(":1: ")));
  EXPECT_THAT(errors("[service.deeper]\nkey = 1\n"), ElementsAre(HasSubstr("has no key deeper")));
  EXPECT_THAT(errors("[[guests]]\nlevel = 1\n"), SizeIs(1));
  EXPECT_THAT(errors("[service]\nzzzzzzzz = 1\n"),
              ElementsAre(HasSubstr("write one of connect, ")));
  for (const char* const line : {"connect = 'qemu:///system'",
                                 "connect = [1]",
                                 "connect = [['a:']]",
                                 "connect = ['nothing']",
                                 "qmp-folders = ['run']",
                                 "scripts = ['look.py']",
                                 "self-check = 'yes'",
                                 "hooks = 'relative'",
                                 "hooks = true",
                                 "hook-limit = 60",
                                 "hook-limit = '0s'",
                                 "hook-limit = '366d'",
                                 "dumps = 2.0",
                                 "dumps = '2'",
                                 "dumps = -1",
                                 "memory = 5",
                                 "memory = 'none'",
                                 "threads = 0",
                                 "threads = '4'",
                                 "dumps = {}",
                                 "dumps = 1979-05-27",
                                 "hook-user = 'a b'",
                                 "metrics = \"/a\\u001b\"",
                                 "dumps = 1 \u018e",
                                 "\u00e9 = 1",
                                 "[#\""}) {
    EXPECT_THAT(errors(fmt::format("[service]\n{}\n", line)), SizeIs(1)) << line;
  }
}

TEST_F(Configs, TheFirstErrorTellsOfTheOthers) {
  const auto config = loaded("[service]\ndumps = 0\nhooks = 1\n");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Errc::malformed);
  EXPECT_THAT(config.error().message,
              AllOf(HasSubstr(":2: "), HasSubstr("and 1 more: vmcored --check-config")));
}

TEST_F(Configs, Checking) {
  const Verdict wrong = check_config(write("[service]\ndumps = 0\nhooks = 1\n"));
  EXPECT_FALSE(wrong.right);
  EXPECT_EQ(std::ranges::count(wrong.text, '\n'), 2);
  const Verdict right = check_config(write("[service]\ndumps = 7\n"));
  EXPECT_TRUE(right.right);
  EXPECT_THAT(right.text, AllOf(HasSubstr("dumps = 7\n"), HasSubstr("level = 31\n")));
}

TEST_F(Configs, WhatOthersMayWriteToIsRefused) {
  const fs::path path = write("");
  for (const mode_t mode : {0646U, 0664U}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    EXPECT_EQ(load(path).error().code, Errc::denied);
  }
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_TRUE(load(path));
  const fs::path beside = write("", "conf.d/a.conf");
  ASSERT_EQ(::chmod(beside.c_str(), 0660), 0);
  EXPECT_EQ(load(path).error().code, Errc::denied);
  ASSERT_EQ(::chmod(beside.c_str(), 0600), 0);
  ASSERT_EQ(::chmod(beside.parent_path().c_str(), 0775), 0);
  EXPECT_EQ(load(path).error().code, Errc::denied);
}

TEST_F(Configs, AnotherUsersFileIsRefused) {
  const fs::path path = write("");
  if (::geteuid() != 0 || ::chown(path.c_str(), 12345, 0) != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }
  EXPECT_EQ(load(path).error().code, Errc::denied);
}

TEST_F(Configs, WhatIsNoFile) {
  EXPECT_EQ(load(folder_).error().code, Errc::invalid);
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(load(fifo).error().code, Errc::invalid);
}

TEST(AskedPolicies, LessIsGivenAndMoreIsNot) {
  GuestPolicy policy;
  policy.level = 17;
  policy.store = {.bytes = 1 << 20, .count = std::nullopt};
  const std::vector<Setting> more{{"level", "1"}, {"store-size", "none"}, {"store-count", "none"}};
  EXPECT_EQ(as_asked(policy, more).policy.level, 17U);
  EXPECT_EQ(as_asked(policy, more).policy.store.bytes, 1U << 20);
  const std::vector<Setting> less{{"level", "31"}, {"store-size", "1KiB"},     {"store-count", "3"},
                                  {"arm", "true"}, {"after-crash", "restart"}, {"on-hang", "dump"}};
  const Asked asked = as_asked(policy, less);
  EXPECT_THAT(asked.errors, IsEmpty());
  EXPECT_EQ(asked.policy.level, 31U);
  EXPECT_EQ(asked.policy.store.bytes, 1024U);
  EXPECT_EQ(asked.policy.store.count, 3U);
  EXPECT_TRUE(asked.policy.arm);
  EXPECT_EQ(asked.policy.after_crash, AfterCrash::restart);
  EXPECT_EQ(asked.policy.on_hang, OnHang::dump);
}

TEST(AskedPolicies, NothingElseIsSet) {
  for (const Key<Config>& key : service_keys()) {
    EXPECT_THAT(as_asked({}, {{{std::string(key.name), "/bin/sh"}}}).errors, SizeIs(1)) << key.name;
  }
  const std::vector<Setting> wrong{
      {"dump-limit", "365d"}, {"level", "99"}, {"arm", "yes"}, {"on-hang", "\x1b[2J"}};
  const Asked asked = as_asked({}, wrong);
  EXPECT_THAT(asked.errors, SizeIs(4));
  EXPECT_THAT(asked.errors.back(), HasSubstr("\\x1b"));
  EXPECT_EQ(asked.policy.level, 31U);
  EXPECT_FALSE(asked.policy.arm);
}

// The file that is installed has all keys, commented, with the values that hold without it.
TEST(DefaultFile, ItsValuesAreThoseOfTheCode) {
  const auto text = read_file(DEFAULT_FILE);
  ASSERT_TRUE(text);
  std::istringstream lines(*text);
  std::string uncommented;
  for (std::string line; std::getline(lines, line);) {
    const bool is_key = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    if (line.starts_with('[')) {
      uncommented += (uncommented.empty() ? "" : "\n") + line + "\n";
    } else if (is_key) {
      uncommented += line.substr(1) + "\n";
    } else {
      EXPECT_TRUE(line.empty() || line.starts_with("# ")) << line;
    }
  }
  EXPECT_EQ(uncommented, effective_text({}));
}

TEST(ManPage, ItHasEachKey) {
  const auto text = read_file(MAN_PAGE);
  ASSERT_TRUE(text);
  const auto check = [&](std::string_view name) {
    std::string escaped;
    for (const char letter : name) {
      escaped += letter == '-' ? "\\-" : std::string(1, letter);
    }
    EXPECT_THAT(*text, HasSubstr("\\fB" + escaped + "\\fR")) << name;
  };
  std::ranges::for_each(names_of(service_keys()), check);
  std::ranges::for_each(names_of(store_keys()), check);
  std::ranges::for_each(names_of(guest_keys()), check);
}

}  // namespace
}  // namespace vmcore::config
