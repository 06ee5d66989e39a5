// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/live_memory.h"

#include <algorithm>
#include <utility>

#include "src/base/sys.h"
#include "src/sandbox/read_line.h"

namespace vmcore::job {

Result<LiveMemory> LiveMemory::open(acquire::Selection selection) {
  selection.method = acquire::Method::direct;
  TRY_ASSIGN(const acquire::OpenedGuest opened, acquire::open_guest(selection));
  acquire::Guest& guest = *opened.guest;
  TRY_ASSIGN(ImageSource source, guest.look());
  const acquire::GuestProcess* const process = guest.process();
  if (process == nullptr) {
    return fail(Errc::unsupported, "{}: its memory cannot be read in its process", guest.name());
  }
  TRY_ASSIGN(acquire::GuestProcess own, acquire::GuestProcess::open(process->pid()));
  if (own.key() != process->key()) {
    return fail(Errc::not_found, "{}: its process has ended", guest.name());
  }
  return LiveMemory(std::move(own), std::move(source));
}

std::vector<PhysRange> LiveMemory::ram() const {
  std::vector<PhysRange> ranges;
  for (const Piece& piece : source_.pieces) {
    ranges.push_back(piece.range);
  }
  return ranges;
}

Result<std::size_t> LiveMemory::read(PhysAddr address, std::span<std::byte> out) const {
  TRY(process_.check_same());
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t at = address.value + done;
    const auto piece = std::ranges::find_if(source_.pieces, [&](const Piece& each) {
      return at >= each.range.begin.value && at - each.range.begin.value < each.range.size;
    });
    if (piece == source_.pieces.end()) {
      break;
    }
    const std::uint64_t offset = at - piece->range.begin.value;
    const auto part = out.subspan(done, std::min(out.size() - done, piece->range.size - offset));
    const std::size_t got = piece->address
                                ? process_.read(*piece->address + offset, part)
                                : sys::pread_full(source_.files.at(piece->file->file).get(), part,
                                                  piece->file->offset + offset)
                                      .value_or(0);
    done += got;
    if (got < part.size()) {
      break;
    }
  }
  return done;
}

Result<> LiveMemory::answer(int line) const {
  TRY_ASSIGN(const auto asked, sandbox::receive_on<LiveRequest>(line));
  if (asked.size > kMostLive) {
    return fail(Errc::malformed, "{} bytes at once are too many", asked.size);
  }
  std::vector<std::byte> answer(1 + asked.size);
  TRY_ASSIGN(const std::size_t got, read({asked.address}, std::span(answer).subspan(1)));
  answer.resize(1 + got);
  ssize_t sent = -1;
  while ((sent = ::send(line, answer.data(), answer.size(), MSG_NOSIGNAL)) < 0 && errno == EINTR) {
  }
  return sent < 0 ? sandbox::line_is_closed() : Result<>();
}

}  // namespace vmcore::job
