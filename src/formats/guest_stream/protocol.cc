// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/guest_stream/protocol.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <functional>

#include "src/base/number.h"
#include "src/formats/crc32c.h"
#include "src/image/page.h"

// Linux 5.6 (75551dbf112c): random bytes at once, good or bad. Not in the headers of older systems.
#ifndef GRND_INSECURE
#define GRND_INSECURE 0x0004
#endif

namespace vmcore::formats {
namespace {

constexpr std::size_t kMaxValue = 256;

std::string line(std::string_view key, std::string_view value) {
  std::string text = fmt::format("{}={}\n", key, value.substr(0, kMaxValue));
  std::replace_if(
      text.begin(), text.end() - 1, [](char c) { return c == '\n' || c == '\0'; }, ' ');
  return text;
}

std::string number_line(std::string_view key, std::uint64_t value) {
  return fmt::format("{}={}\n", key, value);
}

Result<std::uint64_t> number(std::string_view text, int base = 10) {
  const auto value = parse_number<std::uint64_t>(text, base);
  return value ? Result<std::uint64_t>(*value)
               : fail(Errc::malformed, "the guest's stream has no number where one is required");
}

Result<unsigned> level_from(std::string_view text) {
  TRY_ASSIGN(const std::uint64_t value, number(text));
  return static_cast<unsigned>(value & 31);
}

// "BEGIN-END", hexadecimal.
Result<PhysRange> range_from(std::string_view text) {
  const std::size_t dash = std::min(text.find('-'), text.size());
  TRY_ASSIGN(const std::uint64_t begin, number(text.substr(0, dash), 16));
  TRY_ASSIGN(const std::uint64_t end, number(text.substr(std::min(dash + 1, text.size())), 16));
  if (begin >= end || end > kMaxPhysAddr || (begin | end) % kPageSize != 0) {
    return fail(Errc::malformed,
                "the guest's stream announces an impossible range of RAM ({:#x} to {:#x})", begin,
                end);
  }
  return PhysRange{{begin}, end - begin};
}

using TakeLine = std::function<Result<>(std::string_view key, std::string_view value)>;

Result<> each_line(std::string_view text, const TakeLine& take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (const std::size_t equals = line.find('='); equals != line.npos) {
      TRY(take(line.substr(0, equals), line.substr(equals + 1).substr(0, kMaxValue)));
    }
  }
  return {};
}

}  // namespace

void finish_frame(std::span<std::byte> frame, FrameKind kind, const StreamId& stream,
                  std::uint64_t sequence) {
  const auto payload = std::span<const std::byte>(frame).subspan(sizeof(FrameHeader));
  FrameHeader header;
  header.magic = kFrameMagic;
  header.kind = static_cast<std::uint32_t>(kind);
  header.size = static_cast<std::uint32_t>(payload.size());
  header.sequence = sequence;
  header.stream = stream;
  header.payload_crc = crc32c(payload);
  header.header_crc = crc32c(as_bytes(header).first(offsetof(FrameHeader, header_crc)));
  std::ranges::copy(as_bytes(header), frame.begin());
}

StreamId random_stream_id() {
  StreamId id{};
  for (const unsigned flag : {unsigned{GRND_INSECURE}, unsigned{GRND_NONBLOCK}}) {
    if (::getrandom(id.data(), id.size(), flag) == static_cast<ssize_t>(id.size())) {
      return id;
    }
  }
  // Before Linux 5.6, and early after the boot: the times of two crashes differ.
  return std::bit_cast<StreamId>(
      std::array{std::int64_t{std::chrono::system_clock::now().time_since_epoch().count()},
                 std::int64_t{std::chrono::steady_clock::now().time_since_epoch().count()}});
}

std::string encode(const GuestHello& hello) {
  std::string text = number_line("VERSION", kGuestStreamVersion);
  text += line("RELEASE", hello.release);
  text += line("TAG", hello.tag);
  text += number_line("LEVEL", hello.level);
  text += number_line("ENCRYPTED", hello.encrypted_memory ? 1 : 0);
  if (hello.pstore) {
    text += number_line("PSTORE", 1);
  }
  if (hello.crash_time) {
    text += number_line("CRASH_TIME", *hello.crash_time);
  }
  for (const PhysRange& range : hello.ram.ranges()) {
    text += fmt::format("RAM={:x}-{:x}\n", range.begin.value, range.end().value);
  }
  return text;
}

Result<GuestHello> decode_hello(std::string_view text) {
  GuestHello hello;
  std::uint64_t version = 0;
  std::size_t ranges = 0;
  TRY(each_line(text, [&](std::string_view key, std::string_view value) -> Result<> {
    if (key == "VERSION") {
      TRY_ASSIGN(version, number(value));
    } else if (key == "RELEASE") {
      hello.release = value;
    } else if (key == "TAG") {
      hello.tag = value;
    } else if (key == "LEVEL") {
      TRY_ASSIGN(hello.level, level_from(value));
    } else if (key == "ENCRYPTED") {
      hello.encrypted_memory = value != "0";
    } else if (key == "PSTORE") {
      hello.pstore = value != "0";
    } else if (key == "CRASH_TIME") {
      TRY_ASSIGN(hello.crash_time, number(value));
    } else if (key == "RAM") {
      if (++ranges > kMaxRamRanges) {
        return fail(Errc::limit, "the guest's stream announces more than {} ranges of RAM",
                    kMaxRamRanges);
      }
      TRY_ASSIGN(const PhysRange range, range_from(value));
      hello.ram.add(range);
    }
    return {};
  }));
  if (version == 0) {
    return fail(Errc::malformed, "the guest's stream has no version");
  }
  if (version > kGuestStreamVersion) {
    return fail(Errc::unsupported,
                "the guest sends version {} of the stream, and this vmcorectl understands versions "
                "up to {}: update vmcorectl on the host",
                version, kGuestStreamVersion);
  }
  return hello;
}

std::string encode(const StreamFacts& facts) {
  std::string text = number_line("LEVEL", facts.level);
  if (facts.crash_time) {
    text += number_line("CRASH_TIME", *facts.crash_time);
  }
  return text;
}

Result<StreamFacts> decode_facts(std::string_view text) {
  StreamFacts facts;
  TRY(each_line(text, [&](std::string_view key, std::string_view value) -> Result<> {
    if (key == "LEVEL") {
      TRY_ASSIGN(facts.level, level_from(value));
    } else if (key == "CRASH_TIME") {
      TRY_ASSIGN(facts.crash_time, number(value));
    }
    return {};
  }));
  return facts;
}

std::string encode(const StreamEnd& end) {
  std::string text = number_line("INCOMPLETE", end.incomplete ? 1 : 0);
  if (!end.reason.empty()) {
    text += line("REASON", end.reason);
  }
  return text + number_line("PAGES", end.pages);
}

Result<StreamEnd> decode_end(std::string_view text) {
  StreamEnd end;
  TRY(each_line(text, [&](std::string_view key, std::string_view value) -> Result<> {
    if (key == "INCOMPLETE") {
      end.incomplete = value != "0";
    } else if (key == "REASON") {
      end.reason = value;
    } else if (key == "PAGES") {
      TRY_ASSIGN(end.pages, number(value));
    }
    return {};
  }));
  return end;
}

}  // namespace vmcore::formats
