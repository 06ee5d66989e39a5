// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/guest_stream_input.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

#include "src/base/printable.h"
#include "src/base/sys.h"
#include "src/convert/provenance.h"
#include "src/convert/throttle.h"
#include "src/formats/elf/notes.h"
#include "src/formats/guest_stream/reader.h"
#include "src/formats/guest_stream/sealed_stream.h"
#include "src/image/page.h"
#include "src/sources/spool.h"
#include "src/sources/spooled_pages.h"
#include "src/worker/text_output.h"

namespace vmcore::worker {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The line, read with the patience that the terms leave.
class Line {
 public:
  Line(int fd, int hangup, const sandbox::StreamTerms& terms, std::uint64_t bandwidth)
      : fd_(fd), hangup_(hangup), terms_(terms), throttle_(bandwidth) {
    set_deadline(terms_.wait_ms);
  }
  void begin() {
    begun_ = true;
    set_deadline(terms_.deadline_ms);
  }
  std::uint64_t bytes() const { return bytes_; }

  Result<std::size_t> read(std::span<std::byte> out) {
    TRY(await());
    TRY_ASSIGN(const std::size_t got, sys::read_some(fd_, out));
    bytes_ += got;
    hold_back(got);
    return got;
  }

 private:
  void set_deadline(std::uint64_t from_now) {
    deadline_ = from_now == 0 ? Clock::time_point::max()
                              : Clock::now() + milliseconds(std::min(from_now, kLongest));
  }

  // The guest waits with us. Whoever hangs up meanwhile is heard before the next read.
  void hold_back(std::size_t bytes) {
    const auto until = std::min(throttle_.take(bytes, Clock::now()), deadline_);
    pollfd hangup{hangup_, POLLIN, 0};
    for (auto left = until - Clock::now(); left > Clock::duration::zero();
         left = until - Clock::now()) {
      const auto wait = std::min(std::chrono::ceil<milliseconds>(left), milliseconds(kLookEvery));
      if (::poll(&hangup, 1, static_cast<int>(wait.count())) > 0) {
        return;
      }
    }
  }

  Result<> await() const {
    const auto idle_until = !begun_ || terms_.idle_ms == 0
                                ? Clock::time_point::max()
                                : Clock::now() + milliseconds(std::min(terms_.idle_ms, kLongest));
    const auto until = std::min(deadline_, idle_until);
    while (true) {
      const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
      if (left <= 0) {
        return until == deadline_
                   ? too_late()
                   : fail(Errc::io, "the guest sent nothing for {} s", terms_.idle_ms / 1000);
      }
      pollfd waits[] = {{fd_, POLLIN, 0}, {hangup_, POLLIN, 0}};
      const int ready =
          ::poll(waits, 2, static_cast<int>(std::min<decltype(left)>(left, kLookEvery)));
      if (ready > 0) {
        return waits[1].revents == 0 ? Result<>() : fail(Errc::cancelled, "interrupted");
      }
      if (ready < 0 && errno != EINTR) {
        return fail_errno(errno, "poll");
      }
    }
  }

  Result<> too_late() const {
    return begun_
               ? fail(Errc::io, "the stream took longer than {} s", terms_.deadline_ms / 1000)
               : fail(Errc::not_found, "the guest sent nothing within {} s", terms_.wait_ms / 1000);
  }

  static constexpr std::uint64_t kLongest = 1000ULL * 86400 * 365;
  static constexpr int kLookEvery = 60'000;

  int fd_;
  int hangup_;
  const sandbox::StreamTerms& terms_;
  convert::Throttle throttle_;
  bool begun_ = false;
  Clock::time_point deadline_;
  std::uint64_t bytes_ = 0;
};

// The guest's log on its way into a file: it must not steer the terminal that shows it
// (base/printable.h).
class Log {
 public:
  explicit Log(int file) : text_(file, sandbox::kMaxOutputText) {}

  Result<> add(std::string_view text) {
    for (const char c : text) {
      look_for_panic(c);
    }
    pending_ += text;
    return write(whole_characters(pending_));
  }
  Result<> end() {
    TRY(write(pending_.size()));
    return text_.flush();
  }
  std::uint64_t bytes() const { return bytes_; }
  const std::string& panic() const { return panic_; }

 private:
  void look_for_panic(char c) {
    constexpr std::size_t kLongestLine = 1000;
    if (c != '\n') {
      if (line_.size() < kLongestLine) {
        line_ += c;
      }
      return;
    }
    if (const std::size_t at = line_.find("Kernel panic - "); panic_.empty() && at != line_.npos) {
      panic_ = line_.substr(at);
    }
    line_.clear();
  }

  // So much of what is pending.
  Result<> write(std::size_t size) {
    const std::string clean = printable_lines(std::string_view(pending_).substr(0, size));
    pending_.erase(0, size);
    bytes_ += clean.size();
    return text_.append(clean);
  }

  TextOutput text_;
  std::string pending_;  // a character that has only begun
  std::uint64_t bytes_ = 0;
  std::string line_;
  std::string panic_;
};

class Spooler : public formats::GuestStreamSink {
 public:
  Spooler(const sandbox::Channel& channel, Line& line, int spool, int log)
      : channel_(channel), line_(line), spool_(spool), log_(log) {}

  Result<> hello(const formats::GuestHello& hello) override {
    line_.begin();
    tell(channel_, sandbox::Hello{.release = hello.release,
                                  .tag = hello.tag,
                                  .ram_bytes = hello.ram.size(),
                                  .encrypted = hello.encrypted_memory,
                                  .pstore = hello.pstore});
    return {};
  }
  Result<> log(std::string_view text) override { return log_.add(text); }
  Result<> log_over() override {
    TRY(log_.end());
    tell(channel_, sandbox::LogRead{.bytes = log_.bytes(), .panic = log_.panic()});
    return {};
  }
  Result<> pages(Pfn first, std::span<const std::byte> bytes) override {
    constexpr std::uint64_t kTellEvery = 1U << 20;
    if (line_.bytes() - told_at_ >= kTellEvery) {
      told_at_ = line_.bytes();
      tell(channel_, sandbox::Spooling{told_at_});
    }
    if (Result<> written = sources::write_sparse(spool_, bytes, address_of(first).value);
        !written) {
      return in_context(std::move(written).error(), "spooling the guest's memory");
    }
    return {};
  }

 private:
  const sandbox::Channel& channel_;
  Line& line_;
  int spool_;
  Log log_;
  std::uint64_t told_at_ = 0;
};

Result<> check_pages(const formats::GuestStream& stream) {
  if (stream.had.count() != 0) {
    return {};
  }
  if (stream.hello.pstore) {
    return fail(Errc::not_found, "the guest sent the log of an earlier crash, and no memory");
  }
  if (stream.hello.encrypted_memory) {
    return fail(Errc::unsupported,
                "the guest's memory is encrypted, and the guest sends only sealed pages: give it a "
                "key (`vmcorectl key`; vmcore-guest.conf: encrypt-to)");
  }
  return fail(Errc::truncated, "no page of the guest's memory arrived: {}",
              stream.broken.empty() ? "the guest sent none" : stream.broken);
}

// The key is gone, from here as well, before a byte of the guest's is parsed.
Result<formats::ReadSome> open_seal(formats::ReadSome read, Fd file) {
  TRY_ASSIGN(seal::SecretKey key, seal::read_key_file(file.get()));
  file.reset();
  return formats::open_sealed(std::move(read), std::move(key));
}

// What the guest's own filter had to say.
void take_remarks(MemoryImage& image) {
  if (const auto before = convert::read_provenance(image)) {
    for (const Remark& remark : before->remarks) {
      image.remarks.push_back({remark.code, "in the guest: " + remark.text, remark.severity});
    }
  }
}

}  // namespace

Result<Input> open_guest_stream(const sandbox::Channel& channel, const sandbox::StreamTerms& terms,
                                std::uint64_t bandwidth, sandbox::Descriptors& descriptors) {
  TRY_ASSIGN(Fd line, descriptors.take("source"));
  TRY_ASSIGN(Fd spool, descriptors.take("spool"));
  TRY_ASSIGN(const Fd log, descriptors.take("log"));
  TRY_ASSIGN(const Fd hangup, descriptors.take("hangup"));
  Line reader(line.get(), hangup.get(), terms, bandwidth);
  Spooler spooler(channel, reader, spool.get(), log.get());
  formats::ReadSome read = [&](std::span<std::byte> out) { return reader.read(out); };
  if (Fd key = descriptors.take_if_there("key")) {
    TRY_ASSIGN(read, open_seal(std::move(read), std::move(key)));
  }
  TRY_ASSIGN(formats::GuestStream stream,
             formats::read_guest_stream(std::move(read), spooler,
                                        {.ram = terms.most_ram, .kept = terms.most_kept}));
  line.reset();
  TRY(check_pages(stream));
  TRY(sys::truncate(spool.get(), address_of(stream.had.end()).value));
  TRY_ASSIGN(auto file, formats::open_plain(std::move(spool)));
  Input input;
  MemoryImage& image = input.image;
  image.machine.arch = kHostArch;
  image.file = {
      .format = "stream of a guest's capture kernel",
      .dump_level = stream.facts.level,
      .crash_time = stream.facts.crash_time ? stream.facts.crash_time : stream.hello.crash_time,
      .incomplete = stream.incomplete || !stream.broken.empty()};
  image.notes = std::move(stream.notes);
  image.remarks = std::move(stream.remarks);
  image.remarks.push_back({Errc::guest_state,
                           "the contents of the guest's memory are the guest's own claim",
                           Severity::fact});
  image.cpus = formats::read_cpus(image.notes, image.remarks);
  take_remarks(image);
  if (!stream.broken.empty()) {
    image.remarks.push_back({Errc::truncated, "the guest's stream is broken: " + stream.broken});
  }
  image.memory = std::make_unique<sources::SpooledPages>(
      std::move(file), std::move(stream.ram), std::move(stream.kept), std::move(stream.had));
  tell(channel, sandbox::SourceRead{});
  return input;
}

}  // namespace vmcore::worker
