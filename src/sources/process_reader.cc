// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/process_reader.h"

#include <algorithm>

#include "src/sandbox/read_line.h"

namespace vmcore::sources {

class LineReader::Borrowed {
 public:
  explicit Borrowed(const LineReader& reader) : reader_(reader) {
    std::unique_lock lock(reader_.mutex_);
    reader_.returned_.wait(lock, [&] { return !reader_.free_.empty(); });
    line_ = reader_.free_.back();
    reader_.free_.pop_back();
  }
  ~Borrowed() {
    {
      const std::scoped_lock lock(reader_.mutex_);
      reader_.free_.push_back(line_);
    }
    reader_.returned_.notify_one();
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  std::size_t line() const { return line_; }

 private:
  const LineReader& reader_;
  std::size_t line_ = 0;
};

Result<std::unique_ptr<LineReader>> LineReader::make(sandbox::Descriptors& descriptors) {
  TRY_ASSIGN(const Fd file, descriptors.take("windows"));
  TRY_ASSIGN(sandbox::CopyRoom windows, sandbox::CopyRoom::map(file.get()));
  std::unique_ptr<LineReader> reader(new LineReader(std::move(windows)));
  while (Fd line = descriptors.take_if_there(sandbox::line_name(reader->lines_.size()))) {
    reader->free_.push_back(reader->lines_.size());
    reader->lines_.push_back(std::move(line));
  }
  if (reader->lines_.empty() ||
      reader->windows_.pages().size() < reader->lines_.size() * sandbox::kWindow) {
    return fail(Errc::malformed, "worker protocol: no line to read the guest's memory by");
  }
  return reader;
}

Result<std::size_t> LineReader::read(std::uint64_t address, std::span<std::byte> out) const {
  const Borrowed borrowed(*this);
  std::size_t done = 0;
  while (done < out.size()) {
    const auto part = out.subspan(done, std::min<std::size_t>(sandbox::kWindow, out.size() - done));
    TRY_ASSIGN(const std::size_t good, read_by(borrowed.line(), address + done, part));
    done += good;
    if (good < part.size()) {
      break;
    }
  }
  return done;
}

Result<std::size_t> LineReader::read_by(std::size_t line, std::uint64_t address,
                                        std::span<std::byte> out) const {
  const std::uint64_t place = line * sandbox::kWindow;
  TRY(sandbox::send_on(lines_[line].get(), sandbox::CopyEntry{address, place, out.size()}));
  TRY_ASSIGN(const std::uint64_t good, sandbox::receive_on<std::uint64_t>(lines_[line].get()));
  if (good > out.size()) {
    return fail(Errc::malformed, "worker protocol: more memory than was asked for");
  }
  std::ranges::copy(windows_.pages().subspan(place, good), out.begin());
  return good;
}

}  // namespace vmcore::sources
