// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/input.h"

#include <poll.h>

#include <memory>
#include <utility>
#include <variant>

#include "src/formats/dump_format.h"
#include "src/sources/fetched_memory.h"
#include "src/sources/spool.h"
#include "src/worker/guest_stream_input.h"
#include "src/worker/process_input.h"
#include "src/worker/snapshot_input.h"

namespace vmcore::worker {
namespace {

using sandbox::Channel;
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
        "QEMU's dump, which paused the guest, ended by itself: the guest may have run meanwhile");
  }
  return {};
}

namespace {

// Opens each kind of input from the descriptors that its struct names.
struct Opener {
  const Channel& channel;
  const Request& request;
  const sandbox::Ready& ready;
  const Reach& reach;
  sandbox::Descriptors& descriptors;

  Result<Input> operator()(const sandbox::FileInput&) const {
    TRY_ASSIGN(Fd file, descriptors.take("source"));
    Input input;
    TRY_ASSIGN(input.image, formats::open_dump(std::move(file)));
    return input;
  }
  Result<Input> operator()(const sandbox::FetchedInput&) const {
    TRY_ASSIGN(Fd header, descriptors.take("source"));
    Input input;
    TRY_ASSIGN(input.image, open_fetched(channel, std::move(header)));
    return input;
  }
  Result<Input> operator()(const sandbox::StreamInput&) const {
    TRY_ASSIGN(Fd stream, descriptors.take("source"));
    TRY_ASSIGN(Fd spool, descriptors.take("spool"));
    Input input;
    TRY_ASSIGN(input.image, open_stream(channel, std::move(stream), std::move(spool)));
    return input;
  }
  Result<Input> operator()(const sandbox::ProcessInput& kind) const {
    return open_process(channel, ready, kind.torn, reach);
  }
  Result<Input> operator()(const sandbox::LiveInput& kind) const {
    return open_live(channel, kind.torn, reach);
  }
  Result<Input> operator()(const sandbox::SnapshotInput& kind) const {
    TRY_ASSIGN(Fd stream, descriptors.take("source"));
    TRY_ASSIGN(Fd spool, descriptors.take("spool"));
    TRY_ASSIGN(Fd header, descriptors.take("header"));
    return open_snapshot(channel, std::move(stream), std::move(spool), std::move(header),
                         kind.places);
  }
  Result<Input> operator()(const sandbox::GuestStreamInput& kind) const {
    return open_guest_stream(channel, kind.terms, request.how.bandwidth, descriptors);
  }
};

}  // namespace

Result<Input> open_input(const Channel& channel, const Request& request,
                         const sandbox::Ready& ready, const Reach& reach,
                         sandbox::Descriptors& descriptors) {
  return std::visit(Opener{channel, request, ready, reach, descriptors}, request.input);
}

}  // namespace vmcore::worker
