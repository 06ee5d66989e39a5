// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's stream that is sealed to a key: the frames are sealed as bytes in pieces, and these are
// the payloads of frames of another kind. So stale bytes and noise are skipped as in an open
// stream, but a piece that is lost or changed ends the stream: everything before it is complete
// (docs/formats/guest-stream.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "src/base/result.h"
#include "src/formats/guest_stream/frame_reader.h"
#include "src/formats/guest_stream/writer.h"
#include "src/seal/key.h"

namespace vmcore::formats {

// Seals what it is given and sends it with `send`. Like a SendFrame, it is called by one thread at
// a time. `crash_time`, in seconds since the epoch, is not sealed: by it a guest without the secret
// key distinguishes its crashes.
Result<SendFrame> sealed_to(const seal::PublicKey& to, SendFrame send,
                            std::optional<std::uint64_t> crash_time = {});

// That time, from the payload of a `sealed_key`; it is not authenticated. Nothing if it is missing.
std::optional<std::uint64_t> clear_crash_time(std::span<const std::byte> payload);

// The bytes that were sealed in the stream from `read`, as they arrive. Waits for the first sealed
// key that `key` opens, and forgets `key` before it parses anything that was sealed. Errc::denied
// if the stream is sealed to another key, or not sealed.
Result<ReadSome> open_sealed(ReadSome read, seal::SecretKey key);

}  // namespace vmcore::formats
