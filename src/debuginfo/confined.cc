// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/confined.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include "src/base/number.h"
#include "src/base/process.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/confine.h"

namespace vmcore::debuginfo {
namespace {

using sandbox::Channel;
using sandbox::Packet;

// Of one child.
struct Bounds {
  rlim_t seconds = 0;          // of processor time
  rlim_t memory = 1ULL << 30;  // beside files that are mapped to be read
};
constexpr rlim_t kMostFile = 16ULL << 30;
constexpr rlim_t kMostFds = 64;
constexpr Bounds kInspect{.seconds = 60};
constexpr Bounds kWalk{.seconds = 3600};
// libdw unpacks whole sections, and changes modules in memory.
constexpr Bounds kLookUp{.seconds = 300, .memory = 4ULL << 30};
constexpr char kEnd = '\0';  // of each text of a message

// The first letter of a message. The child: a path in the archive, that it is written, the end, a
// DebugFile, the CodeFacts of the next address, an Error. The parent: a Choice.
enum Letter : char {
  kPath = 'p',
  kWritten = 'w',
  kDone = 'd',
  kFile = 'f',
  kFacts = 'c',
  kError = 'e'
};

void close_all_but(std::vector<int> kept) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(null, standard);
  }
  unsigned first = STDERR_FILENO + 1;
  std::ranges::sort(kept);
  for (const int each : kept) {
    if (each >= 0 && static_cast<unsigned>(each) > first) {
      ::close_range(first, static_cast<unsigned>(each) - 1, 0);
    }
    first = std::max(first, static_cast<unsigned>(each + 1));
  }
  ::close_range(first, ~0U, 0);
}

// Not the worker's list of system calls: libraries make others, which change with their versions.
Result<> give_up_rights(const Bounds& bounds) {
  TRY(sandbox::Confinement(false).begin());
  for (const auto& [resource, most] : {std::pair{RLIMIT_DATA, bounds.memory},
                                       {RLIMIT_FSIZE, kMostFile},
                                       {RLIMIT_CPU, bounds.seconds},
                                       {RLIMIT_NOFILE, kMostFds}}) {
    const rlimit limit{most, most};
    if (::setrlimit(resource, &limit) != 0) {
      return fail_errno(errno, "limits");
    }
  }
  return {};
}

std::string encode_error(const Error& error) {
  return fmt::format("{}{}{}{}", char{kError}, errc_name(error.code), kEnd, error.message);
}

Error decode_error(std::string_view text) {
  const std::size_t end = text.find(kEnd);
  return end == std::string_view::npos
             ? Error{Errc::malformed, "an answer that makes no sense"}
             : Error{errc_from_name(text.substr(0, end)), std::string(text.substr(end + 1))};
}

// A child that does `work` with its end of the channel.
struct Child {
  Channel channel;
  Process process;
};

Result<Child> start(const std::vector<int>& fds, const Bounds& bounds,
                    const std::function<Result<std::string>(const Channel&)>& work) {
  TRY_ASSIGN(auto ends, Channel::make_pair());
  const Channel& far = ends.second;
  TRY_ASSIGN(Process process, Process::start([&] {
               std::vector<int> kept = fds;
               kept.push_back(far.fd());
               close_all_but(std::move(kept));
               std::signal(SIGINT, SIG_DFL);
               std::signal(SIGTERM, SIG_DFL);
               std::signal(SIGXFSZ, SIG_DFL);  // run_program() ignores it
               const Result<> confined = give_up_rights(bounds);
               const auto answer = confined ? work(far) : tl::unexpected(confined.error());
               return far.send(answer ? *answer : encode_error(answer.error())) ? 0 : 1;
             }));
  return Child{std::move(ends.first), std::move(process)};
}

Result<std::string> next_message(Child& child) {
  auto packet = child.channel.receive();
  if (packet) {
    return std::move(packet->text);
  }
  TRY_ASSIGN(const int status, child.process.wait());
  const bool too_much =
      WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGXFSZ);
  return fail(Errc::malformed, "{} ({})",
              too_much ? "it takes more than is given to one file"
                       : "the process that read it did not survive it",
              ending(status));
}

// In the child: asks the parent.
Result<Choice> ask(const Channel& channel, const std::string& path, Fd& output) {
  TRY(channel.send(char{kPath} + path.substr(0, 4096)));
  TRY_ASSIGN(Packet packet, channel.receive());
  Choice choice;
  choice.what = static_cast<Choice::What>(packet.text.front());
  if (choice.what == Choice::What::take) {
    if (packet.fds.empty()) {
      return fail(Errc::malformed, "no file to write to");
    }
    output = std::move(packet.fds.front());
    choice.fd = output.get();
  }
  return choice;
}

// In the child: lets the parent look at what was written.
Result<> tell_written(const Channel& channel, Fd& output) {
  output.reset();
  TRY(channel.send(std::string(1, kWritten)));
  TRY(channel.receive());
  return {};
}

Result<std::string> walk_in_child(int fd, const Channel& channel) {
  Fd output;
  const auto walked = walk_archive(
      fd, [&](const std::string& path) { return ask(channel, path, output); },
      [&] { return tell_written(channel, output); });
  if (!walked) {
    return tl::unexpected(walked.error());
  }
  return std::string(1, kDone);
}

}  // namespace

std::string encode(const DebugFile& file) {
  std::string text{static_cast<char>('0' + static_cast<int>(file.kind)),
                   file.has_debug_info ? '1' : '0'};
  for (const std::string* field : {&file.build_id, &file.banner, &file.release, &file.debug_link,
                                   &file.alternate, &file.alternate_build_id}) {
    text += *field + kEnd;
  }
  return text;
}

Result<DebugFile> decode(std::string_view text) {
  const auto bad = [] { return fail(Errc::malformed, "an answer that makes no sense"); };
  if (text.size() < 2 || text[0] < '0' || text[0] > '0' + static_cast<int>(FileKind::other)) {
    return bad();
  }
  DebugFile file{.kind = static_cast<FileKind>(text[0] - '0'), .has_debug_info = text[1] == '1'};
  text.remove_prefix(2);
  for (std::string* field : {&file.build_id, &file.banner, &file.release, &file.debug_link,
                             &file.alternate, &file.alternate_build_id}) {
    const std::size_t end = text.find(kEnd);
    if (end == std::string_view::npos) {
      return bad();
    }
    *field = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  return text.empty() ? Result<DebugFile>(std::move(file)) : bad();
}

Result<DebugFile> inspect_confined(int fd) {
  TRY_ASSIGN(Child child, start({fd}, kInspect, [fd](const Channel&) -> Result<std::string> {
               TRY_ASSIGN(const DebugFile file, inspect(fd));
               return char{kFile} + encode(file);
             }));
  TRY_ASSIGN(const std::string message, next_message(child));
  const std::string_view rest = std::string_view(message).substr(1);
  if (message.front() != kFile) {
    return tl::unexpected(decode_error(rest));
  }
  return decode(rest);
}

namespace {

// The next text of a message.
Result<std::string> take_text(std::string_view& message) {
  const std::size_t end = message.find(kEnd);
  if (end == std::string_view::npos) {
    return fail(Errc::malformed, "an answer that makes no sense");
  }
  std::string text(message.substr(0, end));
  message.remove_prefix(end + 1);
  return text;
}

Result<std::uint64_t> take_number_of(std::string_view& message, std::uint64_t most) {
  TRY_ASSIGN(const std::string text, take_text(message));
  const auto number = parse_number<std::uint64_t>(text);
  if (!number || *number > most) {
    return fail(Errc::malformed, "an answer that makes no sense");
  }
  return *number;
}

Result<std::string> look_up_in_child(const CodeFile& file, std::span<const CodeAddress> addresses,
                                     const report::PanicStack& stack, const Channel& channel) {
  TRY_ASSIGN(const auto all, look_up(file, addresses, stack));
  for (const CodeFacts& facts : all) {
    TRY(channel.send(char{kFacts} + encode(facts)));
  }
  return std::string(1, kDone);
}

}  // namespace

std::string encode(const CodeFacts& facts) {
  std::string text =
      fmt::format("{}{}{}{}", facts.lines.size(), kEnd, facts.arguments.size(), kEnd);
  for (const report::SourceLine& line : facts.lines) {
    text += fmt::format("{}{}{}{}{}{}", line.function, kEnd, line.file, kEnd, line.line, kEnd);
  }
  for (const report::Argument& argument : facts.arguments) {
    text +=
        fmt::format("{}{}{}{}{}{}", argument.name, kEnd, argument.type, kEnd, argument.value, kEnd);
  }
  return text;
}

Result<CodeFacts> decode_facts(std::string_view text) {
  CodeFacts facts;
  TRY_ASSIGN(const std::uint64_t lines, take_number_of(text, report::kMaxInlines));
  TRY_ASSIGN(const std::uint64_t arguments, take_number_of(text, report::kMaxEntries));
  for (std::uint64_t i = 0; i < lines; ++i) {
    report::SourceLine line;
    TRY_ASSIGN(line.function, take_text(text));
    TRY_ASSIGN(line.file, take_text(text));
    TRY_ASSIGN(line.line, take_number_of(text, UINT64_MAX));
    facts.lines.push_back(std::move(line));
  }
  for (std::uint64_t i = 0; i < arguments; ++i) {
    report::Argument argument;
    TRY_ASSIGN(argument.name, take_text(text));
    TRY_ASSIGN(argument.type, take_text(text));
    TRY_ASSIGN(argument.value, take_number_of(text, UINT64_MAX));
    facts.arguments.push_back(std::move(argument));
  }
  return text.empty() ? Result<CodeFacts>(std::move(facts))
                      : fail(Errc::malformed, "an answer that makes no sense");
}

Result<std::vector<CodeFacts>> look_up_confined(const CodeFile& file,
                                                std::span<const CodeAddress> addresses,
                                                const report::PanicStack& stack) {
  TRY_ASSIGN(Child child, start({file.fd, file.alternate}, kLookUp, [&](const Channel& far) {
               return look_up_in_child(file, addresses, stack, far);
             }));
  std::vector<CodeFacts> all;
  while (true) {
    TRY_ASSIGN(const std::string message, next_message(child));
    const std::string_view rest = std::string_view(message).substr(1);
    if (message.front() == kDone && all.size() == addresses.size()) {
      return all;
    }
    if (message.front() != kFacts || all.size() == addresses.size()) {
      return tl::unexpected(decode_error(rest));
    }
    TRY_ASSIGN(CodeFacts facts, decode_facts(rest));
    all.push_back(std::move(facts));
  }
}

Result<> walk_archive_confined(int fd,
                               const std::function<Result<Choice>(const std::string& path)>& choose,
                               const std::function<Result<>()>& taken) {
  TRY_ASSIGN(Child child, start({fd}, kWalk, [fd](const Channel& channel) {
               return walk_in_child(fd, channel);
             }));
  while (true) {
    TRY_ASSIGN(const std::string message, next_message(child));
    const std::string rest = message.substr(1);
    switch (message.front()) {
      case kPath: {
        TRY_ASSIGN(const Choice choice, choose(rest));
        const std::array<int, 1> fds{choice.fd};
        const bool has_file = choice.what == Choice::What::take;
        TRY(child.channel.send(std::string(1, static_cast<char>(choice.what)),
                               std::span(fds).first(has_file ? 1 : 0)));
        break;
      }
      case kWritten:
        TRY(taken());
        TRY(child.channel.send(std::string(1, kWritten)));
        break;
      case kDone:
        return {};
      default:
        return tl::unexpected(decode_error(rest));
    }
  }
}

}  // namespace vmcore::debuginfo
