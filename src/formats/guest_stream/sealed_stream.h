// A guest's stream that is sealed to a key: the same frames, as bytes in sealed pieces, which are
// the payloads of frames of another kind. So stale bytes and noise are skipped as ever, but what is
// lost or changed on the way ends it: what came before is whole (docs/formats/guest-stream.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "src/base/result.h"
#include "src/formats/guest_stream/frame_reader.h"
#include "src/formats/guest_stream/writer.h"
#include "src/seal/key.h"

namespace vmcore::formats {

// Sends by `send` what is given to it, sealed. As a SendFrame, it is called by one thread at a
// time. Not sealed is `crash_time`, in seconds since the epoch: by it a guest that lacks the secret
// key knows its crashes apart.
Result<SendFrame> sealed_to(const seal::PublicKey& to, SendFrame send,
                            std::optional<std::uint64_t> crash_time = {});

// That time, from the payload of a `sealed_key`; nobody vouches for it. Nothing where it is not
// told.
std::optional<std::uint64_t> clear_crash_time(std::span<const std::byte> payload);

// The bytes that were sealed in what `read` brings, as they come. Waits for the first that `key`
// opens, and forgets the key: before anything that was sealed is looked at. Errc::denied where it
// is sealed to another key, or not sealed.
Result<ReadSome> open_sealed(ReadSome read, seal::SecretKey key);

}  // namespace vmcore::formats
