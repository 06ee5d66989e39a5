// SPDX-License-Identifier: GPL-2.0-or-later
// The last crash that the text of a kernel log or of a serial console tells of.
//
// The text comes from a hostile guest, which can write any of it. So all that is found here is what
// the text says, and no more. It may be cut, damaged, and mixed with other text: what is not
// understood is left out, never guessed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/report/crash_class.h"
#include "src/triage/signature.h"

namespace vmcore::triage {

// "foo_bar+0x12/0x40 [mod]"
struct LogFrame {
  std::string function = {};
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  // of the function
  std::string module = {};
  bool reliable = true;    // false where "?" stands before it, or "(unreliable)" behind it
  std::string stack = {};  // whose begin was marked: "IRQ", "NMI", "#DF"; empty for the task's own
  bool operator==(const LogFrame&) const = default;
};

struct LogRegister {
  std::string name;
  std::string value;  // hexadecimal digits as printed
  bool operator==(const LogRegister&) const = default;
};

// One report of the kernel: an oops, a warning, a panic.
struct LogReport {
  report::CrashClass crash = report::CrashClass::unknown;
  std::string sentence = {};  // its first line
  std::optional<std::uint32_t> cpu = {};
  std::optional<std::uint32_t> pid = {};
  std::string comm = {};
  std::string taint = {};  // letters, without spaces: "GWOE"
  std::string release = {};
  std::string version = {};  // "#1 Debian 6.1.76-1"
  std::string hardware = {};
  std::optional<LogFrame> fault = {};  // where it happened: RIP, pc, epc, PSW, NIP
  std::vector<LogRegister> registers = {};
  std::vector<LogFrame> frames = {};  // innermost first, without `fault`
  std::vector<std::string> modules = {};
  bool oops = false;  // the kernel died of it, or killed the task (die())
  bool cut = false;   // the text ends, or another report begins, in the middle of it
};

struct LogCrash {
  // Of the report that caused the panic, and what that lacks of the panic's own.
  LogReport report = {};
  std::string panic = {};  // the message of panic(), empty where the kernel did not panic
  // The reports before it in the same boot: the first of them, and how many.
  std::optional<LogReport> first = {};
  std::uint64_t earlier = 0;
};

struct LogText {
  std::optional<LogCrash> crash = {};   // the last one
  std::string release = {};             // of the last boot message ("Linux version ...")
  std::uint64_t boots = 0;              // boot messages
  bool rebooted = false;                // a boot message follows the crash
  std::vector<std::string> lines = {};  // the last ones of the boot of the crash, as they stand
};

// Reads the text piece by piece: memory does not grow with it.
class LogReader {
 public:
  LogReader();
  ~LogReader();

  void add(std::string_view piece);
  // Call it once, at the end.
  LogText finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

LogText read_log_text(std::string_view text);

// The stack of a report: where it happened, and the reliable frames.
std::vector<LogFrame> frames_of(const LogReport& report);
// A log tells no build-id, so there is no exact signature.
report::CrashSignature signature_of(const LogReport& report);

}  // namespace vmcore::triage
