#include "src/worker/input.h"

#include <poll.h>

#include <memory>
#include <utility>

#include "src/formats/dump_format.h"
#include "src/sources/fetched_memory.h"
#include "src/sources/spool.h"
#include "src/worker/guest_stream_input.h"
#include "src/worker/process_input.h"
#include "src/worker/snapshot_input.h"

namespace vmcore::worker {
namespace {

using sandbox::Channel;
using sandbox::InputKind;
using sandbox::Request;

// Whether the headers have come. A guest that cannot be read is an Error: it must not stand still
// until all of its memory has come. Anything else that is wrong is said when the stream is over, by
// whoever knows why it ended.
Result<bool> can_be_read(int spool) {
  TRY_ASSIGN(Fd beginning, duplicate(spool));
  const auto image = open_headers(std::move(beginning));
  if (!image && image.error().code == Errc::guest_state) {
    return tl::unexpected(image.error());
  }
  return image.has_value();
}

Result<MemoryImage> open_stream(const Channel& channel, Fd stream, Fd spool) {
  bool understood = false;
  const auto spooled =
      sources::spool_stream(stream.get(), spool.get(), [&](std::uint64_t bytes) -> Result<> {
        tell(channel, sandbox::Spooling{bytes});
        if (!understood) {
          TRY_ASSIGN(understood, can_be_read(spool.get()));
        }
        return {};
      });
  if (!spooled) {
    return spooled.error().code == Errc::guest_state
               ? tl::unexpected(spooled.error())
               : in_context(spooled.error(), "spooling the guest's memory");
  }
  stream.reset();
  tell(channel, sandbox::SourceRead{});
  return formats::open_dump(std::move(spool));
}

Result<MemoryImage> open_fetched(const Channel& channel, Fd header) {
  TRY_ASSIGN(MemoryImage image, open_headers(std::move(header)));
  image.memory = std::make_unique<sources::FetchedMemory>(
      ram_ranges(*image.memory),
      [&channel](PhysRange range) { return ask(channel, sandbox::Want{range}); });
  return image;
}

}  // namespace

Result<MemoryImage> open_headers(Fd file) {
  auto image = formats::open_dump(std::move(file));
  if (!image && image.error().code == Errc::unsupported) {
    image.error().code = Errc::guest_state;
  }
  if (image) {
    image->file.incomplete = false;
    std::erase_if(image->remarks,
                  [](const Remark& remark) { return remark.code == Errc::truncated; });
  }
  return image;
}

Result<Fd> ask(const Channel& channel, const sandbox::Event& question) {
  TRY(channel.send(encode(question)));
  TRY_ASSIGN(sandbox::Packet packet, channel.receive());
  TRY_ASSIGN(sandbox::Have have, sandbox::decode_have(packet.text));
  if (have.error) {
    return tl::unexpected(*std::move(have.error));
  }
  if (packet.fds.size() != 1) {
    return fail(Errc::malformed, "worker protocol: an answer without a descriptor");
  }
  return std::move(packet.fds.front());
}

void tell(const Channel& channel, const sandbox::Event& event) {
  static_cast<void>(channel.send(encode(event)));
}

void Input::let_go(const Channel& channel) {
  pollfd writer{held.get(), 0, 0};
  lease_lost = held && ::poll(&writer, 1, 0) > 0 && (writer.revents & POLLHUP) != 0;
  held.reset();
  tell(channel, sandbox::SourceRead{});
}

Result<> Input::check_lease() const {
  if (lease_lost) {
    return fail(
        Errc::guest_state,
        "QEMU's dump, which held the guest, ended by itself: the guest may have run meanwhile");
  }
  return {};
}

Result<Input> open_input(const Channel& channel, const Request& request,
                         const sandbox::Ready& ready, const sources::Copier* copier,
                         std::vector<Fd>& fds) {
  const bool none = request.input == InputKind::live || request.input == InputKind::process;
  const std::size_t needed = none                                   ? 0
                             : request.input == InputKind::stream   ? 2
                             : request.input == InputKind::snapshot ? 3
                             : request.input == InputKind::guest_stream
                                 ? (request.terms.sealed ? 5 : 4)
                                 : 1;
  if (fds.size() < needed) {
    return fail(Errc::malformed, "worker protocol: a descriptor is missing");
  }
  const auto take = [&fds] {
    Fd first = std::move(fds.front());
    fds.erase(fds.begin());
    return first;
  };
  Input input;
  switch (request.input) {
    case InputKind::file: {
      TRY_ASSIGN(input.image, formats::open_dump(take()));
      return input;
    }
    case InputKind::fetch: {
      TRY_ASSIGN(input.image, open_fetched(channel, take()));
      return input;
    }
    case InputKind::stream: {
      Fd stream = take();
      TRY_ASSIGN(input.image, open_stream(channel, std::move(stream), take()));
      return input;
    }
    case InputKind::process:
      return open_process(channel, ready, request.torn, copier);
    case InputKind::live:
      return open_live(channel, request.torn);
    case InputKind::snapshot: {
      Fd stream = take();
      Fd spool = take();
      return open_snapshot(channel, std::move(stream), std::move(spool), take(), request.places);
    }
    case InputKind::guest_stream: {
      Fd line = take();
      Fd spool = take();
      Fd log = take();
      Fd hangup = take();
      return open_guest_stream(channel, request, std::move(line), std::move(spool), std::move(log),
                               std::move(hangup), request.terms.sealed ? take() : Fd());
    }
  }
  return fail(Errc::malformed, "worker protocol: unknown input");
}

}  // namespace vmcore::worker
