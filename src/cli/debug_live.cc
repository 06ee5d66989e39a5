// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/debug_live.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "src/base/elf_core.h"
#include "src/base/process.h"
#include "src/cli/child_run.h"
#include "src/cli/dump_opening.h"
#include "src/cli/dump_options.h"
#include "src/cli/scratch.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/image/page.h"
#include "src/job/interrupt.h"
#include "src/job/live_memory.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP};

// Arguments: the number of the line's descriptor, that of the files with symbols, these files, and
// the words of the user. RAM is in the program headers of the core file.
constexpr const char* kScript = R"(# Of vmcorectl debug --live.
import os
import runpy
import struct
import sys
import threading

import drgn
import drgn.cli

line, count = map(int, sys.argv[1:3])
symbols, words = sys.argv[3:3 + count], sys.argv[3 + count:]
turn = threading.Lock()
MOST = 64 << 10


def read_memory(address, count, offset, physical):
    data = b""
    while len(data) < count:
        size = min(count - len(data), MOST)
        with turn:
            try:
                os.write(line, struct.pack("=QQ", address + len(data), size))
                answer = os.read(line, 1 + MOST)
            except OSError:
                answer = b""
        if not answer:
            raise drgn.FaultError("the guest has ended", address + len(data))
        if len(answer) == 1:
            raise drgn.FaultError("it is no memory of the guest", address + len(data))
        data += answer[1:]
    return data


for piece in RAM:
    prog.add_memory_segment(*piece, read_memory, physical=True)
prog.load_debug_info(symbols)
if words:
    sys.argv = words
    sys.path.insert(0, os.path.dirname(words[0]))
    runpy.run_path(words[0], init_globals={"prog": prog}, run_name="__main__")
    sys.exit()
note = "This guest is not paused: what you see may change, and may contradict itself."
drgn.cli.run_interactive(prog, banner_func=lambda text: text + "\n" + note)
)";

template <class Struct>
void append(std::string& out, const Struct& part) {
  out.append(reinterpret_cast<const char*>(&part), sizeof part);
}

// Headers alone. drgn takes it for a dump of Linux because it has a VMCOREINFO.
std::string core_of(const std::vector<PhysRange>& ram, const std::string& vmcoreinfo) {
  constexpr std::string_view kName("VMCOREINFO\0\0", 12);
  const auto headers = static_cast<Elf64_Half>(1 + ram.size());
  const Elf64_Ehdr header = elf_core_header(EM_X86_64, headers);
  std::string core;
  append(core, header);
  const std::uint64_t begin = sizeof header + headers * sizeof(Elf64_Phdr);
  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  note.p_offset = begin;
  note.p_filesz = sizeof(Elf64_Nhdr) + kName.size() + vmcoreinfo.size();
  append(core, note);
  for (const PhysRange& range : ram) {
    Elf64_Phdr load{};
    load.p_type = PT_LOAD;
    load.p_paddr = range.begin.value;
    load.p_memsz = range.size;
    append(core, load);
  }
  append(core,
         Elf64_Nhdr{
             .n_namesz = 11, .n_descsz = static_cast<Elf64_Word>(vmcoreinfo.size()), .n_type = 0});
  return core + std::string(kName) + vmcoreinfo;
}

// The page whose text a worker found, and proved.
Result<std::string> read_vmcoreinfo(const job::LiveMemory& memory,
                                    const std::optional<InfoPlace>& place) {
  if (!place) {
    return fail(Errc::not_found, "the VMCOREINFO of the guest's kernel was not found");
  }
  std::string text(kPageSize, '\0');
  TRY_ASSIGN(const std::size_t got,
             memory.read(place->address, std::as_writable_bytes(std::span(text))));
  text.resize(std::min(got, text.find('\0')));
  text.resize((text.size() + 3) / 4 * 4, '\n');  // of a note
  return text;
}

std::string script_for(const std::vector<PhysRange>& ram) {
  std::string text = "RAM = (";
  for (const PhysRange& range : ram) {
    text += fmt::format("({:#x}, {:#x}), ", range.begin.value, range.size);
  }
  return text + ")\n" + kScript;
}

Result<report::DebuginfoReport> find_symbols(const job::TextResult& answer,
                                             const DebuginfoOptions& options,
                                             const Common& common) {
  TRY_ASSIGN(const report::TriageReport report, report::triage_from_json(answer.text));
  TRY_ASSIGN(const debuginfo::WantedKernel kernel, wanted_kernel(report, {}));
  TRY_ASSIGN(report::DebuginfoReport found, find_debuginfo(kernel, options, common.quiet));
  TRY(check_vmlinux(found));
  return found;
}

// The command of drgn, which reads files of `scratch`.
Command command_for(const Analyzer& drgn, const report::DebuginfoReport& symbols, int line,
                    std::vector<std::string> words, const Scratch& scratch) {
  std::error_code error;
  std::vector<std::string> files{symbols.vmlinux->path};
  for (const report::DebugModule& module : symbols.modules) {
    files.push_back(module.file.path);
  }
  for (std::string& file : files) {
    file = fs::absolute(file, error).string();
  }
  if (!words.empty()) {
    words.front() = fs::absolute(words.front(), error).string();
  }
  Command command{.words = {drgn.program, "--no-default-symbols", "-c", scratch / "core",
                            scratch / "live.py", fmt::format("{}", line),
                            fmt::format("{}", files.size())}};
  command.words.insert(command.words.end(), files.begin(), files.end());
  command.words.insert(command.words.end(), words.begin(), words.end());
  command.reads = {fs::path(drgn.program).parent_path().string(), scratch / "core",
                   scratch / "live.py"};
  command.reads.insert(command.reads.end(), files.begin(), files.end());
  if (!words.empty()) {
    command.reads.push_back(words.front());
  }
  if (!symbols.vmlinux->alternate.empty()) {
    command.reads.push_back(fs::absolute(symbols.vmlinux->alternate, error).string());
  }
  if (const char* const terminal = std::getenv("TERM")) {
    command.environment.push_back(std::string("TERM=") + terminal);
  }
  return command;
}

// Answers until drgn has ended.
Result<int> serve(const job::LiveMemory& memory, Process& drgn, Fd line) {
  TRY_ASSIGN(const Fd end, open_pidfd(drgn.pid()));
  while (true) {
    std::array<pollfd, 2> waits{{{end.get(), POLLIN, 0}, {line.get(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    if (waits[0].revents != 0) {
      return drgn.wait();
    }
    if (waits[1].revents != 0 && !memory.answer(line.get())) {
      line.reset();  // the guest has ended: drgn is told, and goes on with what it knows
    }
  }
}

Result<int> run_drgn(const job::LiveMemory& memory, const Analyzer& drgn,
                     const report::DebuginfoReport& symbols, const std::string& vmcoreinfo,
                     std::vector<std::string> words, const Common& common) {
  TRY_ASSIGN(const Scratch scratch, Scratch::make());
  const std::vector<PhysRange> ram = memory.ram();
  TRY(scratch.write("core", core_of(ram, vmcoreinfo)));
  TRY(scratch.write("live.py", script_for(ram)));
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(errno, "socketpair");
  }
  Fd ours(ends[0]), theirs(ends[1]);
  const Command command = command_for(drgn, symbols, theirs.get(), std::move(words), scratch);
  std::fflush(nullptr);
  const pid_t self = ::getpid();
  TRY_ASSIGN(Process process, Process::start([&] {
               ::prctl(PR_SET_PDEATHSIG, SIGKILL);
               if (::getppid() != self) {
                 return kExecFailed;
               }
               ours.reset();  // a process that waits for a confined drgn would keep it open
               ::fcntl(theirs.get(), F_SETFD, 0);
               return report_error(become(command, ::geteuid() == 0), common);
             }));
  theirs.reset();
  const auto before = std::signal(SIGINT, SIG_IGN);  // Ctrl-C is for drgn
  auto status = serve(memory, process, std::move(ours));
  std::signal(SIGINT, before);
  return status;
}

Result<job::TextResult> report_of(const GuestOptions& guest) {
  auto read = [&] {
    job::Interrupt interrupt(kExitInterrupted);
    return read_source(guest, sandbox::Operation::report, interrupt);
  }();
  for (const int each : kSignals) {
    std::signal(each, SIG_DFL);  // an Interrupt that is over has them ignored
  }
  return std::move(read.text);
}

Result<int> open_live(const GuestOptions& guest, const DebuginfoOptions& debuginfo,
                      std::vector<std::string> words, const Common& common) {
  const Analyzers analyzers({"drgn"});
  TRY_ASSIGN(const Analyzer drgn, analyzers.newest());
  if (compare_versions(drgn.version, kDrgnReadsPhysical) < 0) {
    return fail(Errc::unsupported,
                "drgn {} is too old for --live, which takes drgn {} or later; without --live the "
                "guest is dumped first",
                drgn.version, kDrgnReadsPhysical);
  }
  TRY_ASSIGN(const auto crash, find_crash(guest));
  if (crash || is_dump_file(guest)) {
    return fail(Errc::invalid, "{} is a {}, and --live is for guests: leave --live out",
                guest.domain, crash ? "stored crash" : "file");
  }
  TRY_ASSIGN(const job::TextResult answer, report_of(guest));
  TRY_ASSIGN(const report::DebuginfoReport symbols, find_symbols(answer, debuginfo, common));
  std::optional<Loan> loan;
  TRY_ASSIGN(acquire::Selection selection, reach_guest(guest, loan));
  TRY_ASSIGN(const job::LiveMemory memory, job::LiveMemory::open(std::move(selection)));
  loan.reset();
  TRY_ASSIGN(const std::string vmcoreinfo, read_vmcoreinfo(memory, answer.place));
  if (!common.quiet) {
    print_remarks(symbols.remarks);
  }
  return run_drgn(memory, drgn, symbols, vmcoreinfo, std::move(words), common);
}

}  // namespace

int debug_live(const GuestOptions& guest, const DebuginfoOptions& debuginfo,
               std::vector<std::string> words, const Common& common) {
  const Result<int> status = open_live(guest, debuginfo, std::move(words), common);
  if (!status) {
    return report_error(status.error(), common);
  }
  return WIFEXITED(*status) ? WEXITSTATUS(*status)
                            : report_error({Errc::io, "drgn: " + ending(*status)}, common);
}

}  // namespace vmcore::cli
