#include "src/worker/input.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <memory>
#include <utility>

#include "src/base/sys.h"
#include "src/formats/dump_format.h"
#include "src/formats/elf_reader.h"
#include "src/worker/fetched_memory.h"
#include "src/worker/process_memory.h"
#include "src/worker/spool.h"

namespace vmcore::worker {
namespace {

using sandbox::Channel;
using sandbox::InputKind;
using sandbox::Request;

Result<Fd> duplicate(int file) {
  Fd again(::dup(file));
  if (!again) {
    return fail_errno(errno, "dup");
  }
  return again;
}

Result<Fd> memory_file() {
  Fd file(::memfd_create("headers", MFD_CLOEXEC));
  if (!file) {
    return fail_errno(errno, "memfd_create");
  }
  return file;
}

// Asks the program that started us for a range; it answers with a dump file of it.
Result<Fd> fetch(const Channel& channel, PhysRange range) {
  TRY(channel.send(encode(sandbox::Event(sandbox::Want{range}))));
  TRY_ASSIGN(sandbox::Packet packet, channel.receive());
  TRY_ASSIGN(sandbox::Have have, sandbox::decode_have(packet.text));
  if (have.error) {
    return tl::unexpected(*std::move(have.error));
  }
  if (packet.fds.size() != 1) {
    return fail(Errc::malformed, "worker protocol: memory without a descriptor");
  }
  return std::move(packet.fds.front());
}

Result<MemoryImage> open_stream(const Channel& channel, Fd stream, Fd spool) {
  const auto spooled = spool_stream(stream.get(), spool.get(), [&](std::uint64_t bytes) {
    tell(channel, sandbox::Spooling{bytes});
  });
  if (!spooled) {
    return in_context(spooled.error(), "spooling the guest's memory");
  }
  stream.reset();
  tell(channel, sandbox::SourceRead{});
  return formats::open_dump(std::move(spool));
}

// A dump file that ends after its headers: its memory comes from elsewhere, so nothing is lost.
Result<MemoryImage> open_headers(Fd file) {
  TRY_ASSIGN(MemoryImage image, formats::open_dump(std::move(file)));
  image.file.incomplete = false;
  std::erase_if(image.remarks, [](const Remark& remark) { return remark.code == Errc::truncated; });
  return image;
}

Result<MemoryImage> open_fetched(const Channel& channel, Fd header) {
  TRY_ASSIGN(MemoryImage image, open_headers(std::move(header)));
  image.memory = std::make_unique<FetchedMemory>(
      ram_ranges(*image.memory), [&channel](PhysRange range) { return fetch(channel, range); });
  return image;
}

// The beginning of an ELF dump, as far as its headers and notes go; the pipe is not read on.
Result<Fd> read_beginning(int pipe) {
  constexpr std::size_t kPortion = 64 << 10;
  // 4096 vCPUs have 3 MiB of notes, and the largest VMCOREINFO that QEMU accepts 1 MiB.
  constexpr std::size_t kMost = 16 << 20;
  TRY_ASSIGN(Fd file, memory_file());
  std::vector<std::byte> portion(kPortion);
  for (std::size_t length = 0; length < kMost; length += portion.size()) {
    TRY_ASSIGN(const std::size_t got, sys::read_full(pipe, portion));
    TRY(sys::pwrite_full(file.get(), std::span(portion).first(got), length));
    TRY_ASSIGN(Fd again, duplicate(file.get()));
    const auto image = formats::open_dump(std::move(again));
    if (image) {
      return file;
    }
    if (image.error().code != Errc::truncated || got < portion.size()) {
      return tl::unexpected(image.error());
    }
  }
  return fail(Errc::limit, "the dump of the guest has more than {} MiB of headers", kMost >> 20);
}

// Asks the program that started us where the blocks of RAM lie.
Result<std::unique_ptr<PhysicalMemory>> locate(const Channel& channel,
                                               std::vector<PhysRange> blocks) {
  if (blocks.size() > sandbox::kMaxPieces) {
    return fail(Errc::limit,
                "the guest's memory lies in {} blocks, too many: give another --method",
                blocks.size());
  }
  TRY(channel.send(encode(sandbox::Event(sandbox::Locate{std::move(blocks)}))));
  TRY_ASSIGN(sandbox::Packet packet, channel.receive());
  TRY_ASSIGN(sandbox::Located located, sandbox::decode_located(packet.text));
  if (located.error) {
    return tl::unexpected(*std::move(located.error));
  }
  if (packet.fds.size() < 2) {
    return fail(Errc::malformed, "worker protocol: a place without descriptors");
  }
  ImageSource source{.memory = std::move(packet.fds[0]),
                     .pagemap = std::move(packet.fds[1]),
                     .files = {std::make_move_iterator(packet.fds.begin() + 2),
                               std::make_move_iterator(packet.fds.end())},
                     .pieces = std::move(located.pieces)};
  TRY_ASSIGN(auto memory, ProcessMemory::make(std::move(source)));
  return memory;
}

// The guest's own memory behind the headers and notes of a dump that is not read on.
Result<Input> open_process(const Channel& channel, Fd pipe, bool torn) {
  TRY_ASSIGN(Fd beginning, read_beginning(pipe.get()));
  TRY_ASSIGN(Fd again, duplicate(beginning.get()));
  TRY_ASSIGN(const auto file, formats::open_plain(std::move(again)));
  TRY_ASSIGN(std::vector<PhysRange> blocks, formats::read_elf_blocks(*file));
  TRY_ASSIGN(MemoryImage image, open_headers(std::move(beginning)));
  TRY_ASSIGN(image.memory, locate(channel, std::move(blocks)));
  Input input{std::move(image), std::move(pipe)};
  if (torn) {
    input.image.remarks.push_back(
        {Errc::guest_state,
         "torn: the guest ran while its memory was read, so the dump shows no single moment"});
    input.let_go(channel);
  }
  return input;
}

}  // namespace

void tell(const Channel& channel, const sandbox::Event& event) {
  static_cast<void>(channel.send(encode(event)));
}

void Input::let_go(const Channel& channel) {
  held.reset();
  tell(channel, sandbox::SourceRead{});
}

Result<Input> open_input(const Channel& channel, const Request& request, std::vector<Fd>& fds) {
  const std::size_t needed = request.input == InputKind::stream ? 2 : 1;
  if (fds.size() < needed) {
    return fail(Errc::malformed, "worker protocol: a descriptor is missing");
  }
  Fd first = std::move(fds.front());
  fds.erase(fds.begin());
  Input input;
  switch (request.input) {
    case InputKind::file: {
      TRY_ASSIGN(input.image, formats::open_dump(std::move(first)));
      return input;
    }
    case InputKind::fetch: {
      TRY_ASSIGN(input.image, open_fetched(channel, std::move(first)));
      return input;
    }
    case InputKind::process:
      return open_process(channel, std::move(first), request.torn);
    case InputKind::stream: {
      Fd spool = std::move(fds.front());
      fds.erase(fds.begin());
      TRY_ASSIGN(input.image, open_stream(channel, std::move(first), std::move(spool)));
      return input;
    }
  }
  return fail(Errc::malformed, "worker protocol: unknown input");
}

}  // namespace vmcore::worker
