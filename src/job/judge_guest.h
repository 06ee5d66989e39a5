// What is made of what was found out about a guest: pure, without asking anybody.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/guest.h"
#include "src/acquire/setup.h"
#include "src/base/result.h"
#include "src/job/check_host.h"
#include "src/job/finding.h"
#include "src/sandbox/messages.h"

namespace vmcore::job {

// A method, and why it cannot be used.
struct Way {
  std::string method;
  Result<> usable = {};
};

struct GuestFacts {
  std::string name;    // as it is shown
  std::string domain;  // as virsh takes it; empty for a QMP socket
  acquire::GuestSetup setup;
  // The rest of a guest that is active.
  std::vector<Way> ways = {};
  std::optional<acquire::GuestState> state = {};
  Result<> idle = {};
  std::uint64_t memory_size = 0;                     // bytes of RAM
  std::optional<Result<sandbox::Done>> census = {};  // of its pages; nothing without method direct
  // The pause of a dump, but for the pause: nothing where it does not run, or could not be read.
  std::optional<std::chrono::microseconds> rehearsed = {};
  TraceRights trace = {};
  std::uint64_t read_ahead = 0;  // bytes
  unsigned threads = 1;
  std::filesystem::path folder = {};  // where its dump would go
  Result<std::uint64_t> room = 0;     // bytes that are free there
  std::vector<std::string> leftovers = {};

  bool usable(const std::string& method) const;
};

// Of one that is not active only what its definition tells.
CheckReport judge_guest(const GuestFacts& facts);

// Each by itself.
Finding judge_state(const GuestFacts& facts);
Finding judge_encryption(const GuestFacts& facts);
Finding judge_idle(const GuestFacts& facts);
std::vector<Finding> judge_ways(const GuestFacts& facts);
Finding judge_kernel(const GuestFacts& facts);
Finding judge_panic_kernel(const GuestFacts& facts);
Finding judge_pause(const GuestFacts& facts);
Finding judge_room(const GuestFacts& facts);
Finding judge_memory(const GuestFacts& facts);
Finding judge_panic_device(const GuestFacts& facts);
Finding judge_on_crash(const GuestFacts& facts);
Finding judge_vmcoreinfo(const GuestFacts& facts);
Finding judge_channel(const GuestFacts& facts);
Finding judge_leftovers(const GuestFacts& facts);

}  // namespace vmcore::job
