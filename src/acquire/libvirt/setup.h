// SPDX-License-Identifier: GPL-2.0-or-later
// What libvirt knows of a domain without its being touched, and its persistent definition.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/acquire/method.h"
#include "src/acquire/setup.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Of the daemon that answers (connection.h, version_of).
Result<std::uint64_t> libvirt_version(const std::string& uri);
// "11.5.0"
std::string version_text(std::uint64_t version);
// Whether that libvirt stops a running guest by itself for a dump (dump.cc): where it dies
// meanwhile, the guest stands still until libvirt is started again.
bool holds_guests_itself(std::uint64_t version);

// All domains, also those that are shut off, by name.
Result<std::vector<Selection>> all_domains(const std::string& uri);
// The ones that run whose guest panicked.
struct CrashedDomain {
  Selection guest;
  bool certain = true;  // else its memory tells whether it did, or has booted since
};
Result<std::vector<CrashedDomain>> crashed_domains(const std::string& uri);

// What a service that waits for crashes has to know of each domain that runs, by UUID.
struct CrashTraits {
  std::string on_crash;       // libvirt's action
  bool dump_channel = false;  // for what the guest's own capture kernel sends
  // What its metadata asks for (policy_metadata.h), as keys and values.
  std::vector<std::pair<std::string, std::string>> asked = {};
};
Result<std::map<std::string, CrashTraits>> crash_traits(const std::string& uri);

// As it runs, or else as it would be started.
Result<GuestSetup> setup_of_domain(const Selection& selection);

// The host's end of a channel of a domain that runs.
struct DomainChannel {
  std::string domain;
  std::string uuid;
  std::filesystem::path path;  // of its UNIX socket
  std::uint64_t memory = 0;    // bytes that the domain has at most
};
// Errc::guest_state where it does not run, Errc::not_found where it has no such channel.
Result<DomainChannel> channel_of_domain(const Selection& selection, std::string_view channel);

// The end of what the domain's console wrote, at most 64 KiB: untrusted text. Errc::not_found if no
// file has it.
Result<std::string> end_of_console(const Selection& selection);

// What a domain will be started with.
struct PersistentDefinition {
  std::string name;
  std::string handle;  // what commands take for no other domain (acquire/commands.h)
  std::string shown;   // without passwords
  std::string whole;
  bool running = false;
};
// Errc::unsupported for a transient domain.
Result<PersistentDefinition> persistent_definition(const Selection& selection);
// Errc::busy where it is no longer `before`.
Result<> replace_definition(const Selection& selection, const std::string& before,
                            const std::string& after);

}  // namespace vmcore::acquire
