// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/setup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <span>
#include <utility>

#include "src/acquire/commands.h"
#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/definition.h"
#include "src/acquire/libvirt/policy_metadata.h"
#include "src/acquire/libvirt/state.h"
#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore::acquire {
namespace {

struct Domain {
  LibvirtConnection connection;
  LibvirtDomain domain;
  bool active = false;
};

Result<Domain> find(const Selection& selection) {
  TRY_ASSIGN(LibvirtConnection connection, connect_libvirt(selection.uri));
  TRY_ASSIGN(LibvirtDomain domain,
             find_domain(connection.get(), selection.domain, selection.look_up));
  const bool active = virDomainIsActive(domain.get()) == 1;
  return Domain{std::move(connection), std::move(domain), active};
}

CrashWord word_of(virDomain* domain) {
  int state = VIR_DOMAIN_NOSTATE;
  int reason = 0;
  return virDomainGetState(domain, &state, &reason, 0) == 0 ? crash_word(state, reason)
                                                            : CrashWord::no;
}

// `take` is given each domain that libvirt lists by these flags, and how it is selected.
Result<> for_each_domain(const std::string& uri, unsigned flags,
                         const std::function<void(virDomain*, Selection)>& take) {
  TRY_ASSIGN(const LibvirtConnection connection, connect_libvirt(uri));
  virDomainPtr* list = nullptr;
  const int count = virConnectListAllDomains(connection.get(), &list, flags);
  if (count < 0) {
    return libvirt_failure("the list of domains");
  }
  for (int i = 0; i < count; ++i) {
    const LibvirtDomain domain(list[i]);
    if (const char* const name = virDomainGetName(domain.get())) {
      take(domain.get(), {.uri = uri, .domain = name, .look_up = LookUp::name});
    }
  }
  ::free(list);  // NOLINT: libvirt's lists are malloc's
  return {};
}

}  // namespace

Result<std::uint64_t> libvirt_version(const std::string& uri) {
  TRY_ASSIGN(const LibvirtConnection connection, connect_libvirt(uri));
  return version_of(connection.get());
}

std::string version_text(std::uint64_t version) {
  return fmt::format("{}.{}.{}", version / 1'000'000, version / 1'000 % 1'000, version % 1'000);
}

bool holds_guests_itself(std::uint64_t version) { return version >= 11'005'000; }

Result<std::vector<Selection>> all_domains(const std::string& uri) {
  std::vector<Selection> found;
  TRY(for_each_domain(uri, 0,
                      [&](virDomain*, Selection guest) { found.push_back(std::move(guest)); }));
  std::ranges::sort(found, {}, &Selection::domain);
  return found;
}

Result<std::vector<CrashedDomain>> crashed_domains(const std::string& uri) {
  std::vector<CrashedDomain> found;
  TRY(for_each_domain(uri, VIR_CONNECT_LIST_DOMAINS_ACTIVE,
                      [&](virDomain* domain, Selection guest) {
                        const CrashWord word = word_of(domain);
                        if (word != CrashWord::no) {
                          found.push_back({std::move(guest), word == CrashWord::yes});
                        }
                      }));
  std::ranges::sort(found, {}, [](const CrashedDomain& domain) { return domain.guest.domain; });
  return found;
}

Result<std::map<std::string, CrashTraits>> crash_traits(const std::string& uri) {
  std::map<std::string, CrashTraits> found;
  TRY(for_each_domain(
      uri, VIR_CONNECT_LIST_DOMAINS_ACTIVE, [&](virDomain* domain, const Selection&) {
        const auto xml = definition_of(domain, 0);
        const auto setup = xml ? read_definition(*xml) : tl::unexpected(xml.error());
        if (setup) {  // else it has just ended
          found[uuid_of(domain)] = {setup->on_crash.value_or(""), setup->dump_channel,
                                    policy_settings_of(domain).value_or(PolicySettings{})};
        }
      }));
  return found;
}

Result<GuestSetup> setup_of_domain(const Selection& selection) {
  TRY_ASSIGN(const Domain found, find(selection));
  TRY_ASSIGN(const std::string xml, definition_of(found.domain.get(), 0));
  TRY_ASSIGN(GuestSetup setup, read_definition(xml));
  setup.handle = handle_of(setup.name, uuid_of(found.domain.get()));
  setup.active = found.active;
  setup.libvirt_version = version_of(found.connection.get()).value_or(0);
  setup.persistent = virDomainIsPersistent(found.domain.get()) == 1;
  if (setup.persistent) {
    TRY_ASSIGN(const std::string next, definition_of(found.domain.get(), VIR_DOMAIN_XML_INACTIVE));
    const auto edit = prepare_definition(next);
    setup.ready_when_started = edit && edit->before == edit->after;
  }
  return setup;
}

Result<DomainChannel> channel_of_domain(const Selection& selection, std::string_view channel) {
  TRY_ASSIGN(const Domain found, find(selection));
  const char* const name = virDomainGetName(found.domain.get());
  char uuid[VIR_UUID_STRING_BUFLEN] = "";
  if (virDomainGetUUIDString(found.domain.get(), uuid) != 0) {
    return libvirt_failure("the domain's UUID");
  }
  DomainChannel result{
      .domain = name != nullptr ? name : selection.domain, .uuid = uuid, .path = {}};
  if (!found.active) {
    return fail(Errc::guest_state, "{} is not running: it cannot send a dump", result.domain);
  }
  TRY_ASSIGN(const std::string xml, definition_of(found.domain.get(), 0));
  TRY_ASSIGN(result.path, channel_path(xml, channel));
  if (result.path.empty()) {
    return fail(Errc::not_found, "{} has no channel {}: add it ({}), then stop and start the guest",
                result.domain, channel,
                vmcorectl_command(selection, "check --fix",
                                  handle_of(result.domain, uuid_of(found.domain.get()))));
  }
  constexpr std::uint64_t kKibibyte = 1024;
  result.memory = virDomainGetMaxMemory(found.domain.get()) * kKibibyte;
  return result;
}

Result<std::string> end_of_console(const Selection& selection) {
  constexpr std::uint64_t kMost = 64U << 10;
  TRY_ASSIGN(const Domain found, find(selection));
  TRY_ASSIGN(const std::string xml, definition_of(found.domain.get(), 0));
  TRY_ASSIGN(const std::string path, console_path(xml));
  if (path.empty()) {
    return fail(Errc::not_found,
                "no file has what the domain's console writes (add <log "
                "file='...'/> to its serial port)");
  }
  // Whoever may write to its folder is not believed: no link is followed, no pipe waited for.
  const Fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return fail_errno(errno, path);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(Errc::invalid, "{} is not a regular file", path);
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  std::string text(std::min(size, kMost), '\0');
  TRY_ASSIGN(
      const std::size_t got,
      sys::pread_full(file.get(), std::as_writable_bytes(std::span(text)), size - text.size()));
  text.resize(got);
  return text;
}

Result<PersistentDefinition> persistent_definition(const Selection& selection) {
  TRY_ASSIGN(const Domain found, find(selection));
  virDomain* const domain = found.domain.get();
  const char* const name = virDomainGetName(domain);
  PersistentDefinition definition{.name = name != nullptr ? name : selection.domain,
                                  .handle = {},
                                  .shown = {},
                                  .whole = {},
                                  .running = found.active};
  definition.handle = handle_of(definition.name, uuid_of(domain));
  if (virDomainIsPersistent(domain) != 1) {
    return fail(Errc::unsupported,
                "{} is transient and has no persistent definition: change the definition that it "
                "is created from",
                definition.name);
  }
  TRY_ASSIGN(definition.shown, definition_of(domain, VIR_DOMAIN_XML_INACTIVE));
  TRY_ASSIGN(definition.whole,
             definition_of(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE));
  return definition;
}

Result<> replace_definition(const Selection& selection, const std::string& before,
                            const std::string& after) {
  TRY_ASSIGN(const Domain found, find(selection));
  TRY_ASSIGN(const std::string now,
             definition_of(found.domain.get(), VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE));
  if (now != before) {
    return fail(Errc::busy, "somebody else changed the domain's definition meanwhile: try again");
  }
  const LibvirtDomain defined(virDomainDefineXMLFlags(found.connection.get(), after.c_str(), 0));
  if (!defined) {
    return libvirt_failure("the new definition");
  }
  return {};
}

}  // namespace vmcore::acquire
