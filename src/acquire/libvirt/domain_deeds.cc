// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/domain_deeds.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>

#include <chrono>
#include <thread>

#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/process.h"
#include "src/acquire/process/guest_process.h"

namespace vmcore::acquire {
namespace {

Result<bool> is_running(virDomain* domain) {
  int state = VIR_DOMAIN_NOSTATE;
  if (virDomainGetState(domain, &state, nullptr, 0) != 0) {
    return libvirt_failure("the domain's state");
  }
  if (state == VIR_DOMAIN_SHUTOFF) {
    return fail(Errc::guest_state, "the domain has ended");
  }
  return state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED;
}

bool has_job(virDomain* domain) {
  virDomainJobInfo job{};
  return virDomainGetJobInfo(domain, &job) == 0 &&
         (job.type == VIR_DOMAIN_JOB_BOUNDED || job.type == VIR_DOMAIN_JOB_UNBOUNDED);
}

// The dump of an on_crash coredump-restart or coredump-destroy, which a deed would spoil. libvirt
// carries out the rest itself, a moment after the dump.
void leave_to_libvirt(virDomain* domain) {
  using std::chrono::milliseconds;
  constexpr milliseconds kLookEvery{100};
  constexpr milliseconds kMoment{3000};
  if (!has_job(domain)) {
    return;
  }
  while (has_job(domain)) {
    std::this_thread::sleep_for(kLookEvery);
  }
  for (milliseconds waited{0}; waited < kMoment && !is_running(domain).value_or(true);
       waited += kLookEvery) {
    std::this_thread::sleep_for(kLookEvery);
  }
}

Result<> resume(virDomain* domain) {
  TRY_ASSIGN(const bool running, is_running(domain));
  if (!running && virDomainResume(domain) != 0) {
    return libvirt_failure("resume");
  }
  return {};
}

Result<> reset(virDomain* domain) {
  if (virDomainReset(domain, 0) != 0) {
    return libvirt_failure("reset");
  }
  return resume(domain);
}

Result<> start_again(virDomain* domain) {
  if (virDomainDestroy(domain) != 0) {
    return libvirt_failure("destroy");
  }
  return virDomainCreate(domain) == 0 ? Result<>() : libvirt_failure("start");
}

Result<> restart(virDomain* domain) {
  Result<> done = reset(domain);
  if (done || virDomainIsPersistent(domain) != 1) {
    return done;
  }
  if (Result<> again = start_again(domain); !again) {
    return fail(again.error().code, "{} (and before: {})", again.error().message,
                done.error().message);
  }
  return {};
}

Result<LibvirtDomain> find_running(virConnect* connection, const std::string& uuid) {
  LibvirtDomain domain(virDomainLookupByUUIDString(connection, uuid.c_str()));
  if (domain) {
    return domain;
  }
  const int code = virGetLastErrorCode();
  return code == VIR_ERR_NO_DOMAIN ? fail(Errc::guest_state, "the domain has ended")
                                   : libvirt_failure("the domain");
}

}  // namespace

Result<> do_to_domain(const std::string& uri, const std::string& uuid, DomainDeed deed,
                      bool only_if_stopped) {
  TRY_ASSIGN(const LibvirtConnection connection, connect_libvirt(uri));
  TRY_ASSIGN(const LibvirtDomain domain, find_running(connection.get(), uuid));
  if (only_if_stopped) {
    leave_to_libvirt(domain.get());
  }
  TRY_ASSIGN(const bool running, is_running(domain.get()));
  if (only_if_stopped && running) {
    return fail(Errc::guest_state, "the guest runs again: somebody else carried it on");
  }
  switch (deed) {
    case DomainDeed::restart:
      return restart(domain.get());
    case DomainDeed::destroy:
      return virDomainDestroy(domain.get()) == 0 ? Result<>() : libvirt_failure("destroy");
    case DomainDeed::resume:
      return resume(domain.get());
    case DomainDeed::nmi:
      return virDomainInjectNMI(domain.get(), 0) == 0 ? Result<>() : libvirt_failure("NMI");
  }
  return {};
}

std::optional<ProcessKey> process_of_domain(const std::string& uri, const std::string& name,
                                            const std::string& uuid) {
  const char* const runtime = ::getenv("XDG_RUNTIME_DIR");
  const auto pid = pid_in_file(pid_file(uri, runtime != nullptr ? runtime : "", name), uuid);
  const auto time = pid ? start_time(*pid) : std::nullopt;
  return time ? std::optional(ProcessKey{*pid, *time}) : std::nullopt;
}

}  // namespace vmcore::acquire
