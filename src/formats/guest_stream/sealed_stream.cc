// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/guest_stream/sealed_stream.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "src/seal/sealed_box.h"

namespace vmcore::formats {
namespace {

// A frame of the stream is a piece, but for those that come close to what a frame can hold.
constexpr std::size_t kMostPiece = kMaxFramePayload - seal::kPieceOverhead;
// An elliptic curve multiplication each: more are not tried for bytes that anybody can send.
constexpr unsigned kMostForeign = 64;

class Sealing {
 public:
  Sealing(const seal::Sealer& sealer, SendFrame send, std::uint64_t crash_time)
      : sealer_(sealer), send_(std::move(send)), crash_time_{crash_time} {}

  Result<> send(std::span<const std::byte> bytes) {
    if (sequence_ == 0) {
      frame_.resize(sizeof(FrameHeader));
      frame_.insert(frame_.end(), sealer_.preamble().begin(), sealer_.preamble().end());
      const auto time = std::as_bytes(std::span(&crash_time_, 1));
      frame_.insert(frame_.end(), time.begin(), time.end());
      TRY(send_frame(FrameKind::sealed_key));
    }
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(kMostPiece, bytes.size()))) {
      const auto piece = bytes.first(std::min(kMostPiece, bytes.size()));
      frame_.resize(sizeof(FrameHeader) + piece.size() + seal::kPieceOverhead);
      sealer_.seal(piece, std::span(frame_).subspan(sizeof(FrameHeader)));
      TRY(send_frame(FrameKind::sealed));
    }
    return {};
  }

 private:
  Result<> send_frame(FrameKind kind) {
    finish_frame(frame_, kind, id_, sequence_++);
    return send_(frame_);
  }

  seal::Sealer sealer_;
  SendFrame send_;
  ul64 crash_time_;  // 0: not known
  StreamId id_ = random_stream_id();
  std::uint64_t sequence_ = 0;
  std::vector<std::byte> frame_;
};

bool is(const Frame& frame, FrameKind kind) {
  return frame.header.kind == static_cast<std::uint32_t>(kind);
}

class Opening {
 public:
  explicit Opening(ReadSome read) : frames_(std::move(read)) {}

  Result<> begin(const seal::SecretKey& key) {
    for (unsigned foreign = 0; foreign < kMostForeign;) {
      TRY_ASSIGN(const auto frame, frames_.next());
      if (!frame) {
        return foreign == 0 ? fail(Errc::not_found, "no sealed stream arrived")
                            : fail(Errc::denied, "the stream is sealed to another key");
      }
      if (is(*frame, FrameKind::hello)) {
        return fail(Errc::denied,
                    "the stream is not sealed to a key (encrypt-to of the guest), and --key "
                    "accepts only sealed streams");
      }
      if (!is(*frame, FrameKind::sealed_key)) {
        TRY(frames_.skip(*frame));
        continue;
      }
      const auto preamble = std::span<const std::byte>(frame->payload);
      if (auto opener = seal::Opener::open(
              preamble.first(std::min(preamble.size(), seal::kPreambleSize)), key)) {
        opener_.emplace(*std::move(opener));
        id_ = frame->header.stream;
        return {};
      }
      ++foreign;  // an earlier crash's, which nobody took
    }
    return fail(Errc::denied, "the stream is sealed to {} other keys", kMostForeign);
  }

  Result<std::size_t> read(std::span<std::byte> out) {
    if (at_ == piece_.size()) {
      TRY_ASSIGN(const bool more, next_piece());
      if (!more) {
        return 0;
      }
    }
    const std::size_t some = std::min(out.size(), piece_.size() - at_);
    std::ranges::copy(std::span(piece_).subspan(at_, some), out.begin());
    at_ += some;
    return some;
  }

 private:
  Result<bool> next_piece() {
    while (true) {
      TRY_ASSIGN(const auto frame, frames_.next());
      if (!frame) {
        return false;
      }
      const FrameHeader& header = frame->header;
      if (is(*frame, FrameKind::sealed_key) && header.stream != id_) {
        return fail(Errc::truncated, "the stream of another crash began");
      }
      if (header.stream != id_ || !is(*frame, FrameKind::sealed) || header.sequence <= sequence_) {
        TRY(frames_.skip(*frame));
        continue;
      }
      sequence_ = header.sequence;
      at_ = 0;
      TRY(opener_->open_piece(frame->payload, piece_));
      return true;
    }
  }

  FrameReader frames_;
  std::optional<seal::Opener> opener_;
  StreamId id_{};
  std::uint64_t sequence_ = 0;  // of the last frame
  std::vector<std::byte> piece_;
  std::size_t at_ = 0;  // of piece_: the next byte
};

}  // namespace

Result<SendFrame> sealed_to(const seal::PublicKey& to, SendFrame send,
                            std::optional<std::uint64_t> crash_time) {
  TRY_ASSIGN(const seal::Sealer sealer, seal::Sealer::make(to));
  const auto sealing = std::make_shared<Sealing>(sealer, std::move(send), crash_time.value_or(0));
  return [sealing](std::span<const std::byte> bytes) { return sealing->send(bytes); };
}

std::optional<std::uint64_t> clear_crash_time(std::span<const std::byte> payload) {
  const auto time = load<ul64>(payload, seal::kPreambleSize);
  return time && *time != 0 ? std::optional<std::uint64_t>(*time) : std::nullopt;
}

Result<ReadSome> open_sealed(ReadSome read, seal::SecretKey key) {
  const auto opening = std::make_shared<Opening>(std::move(read));
  const seal::SecretKey forgotten = std::move(key);
  TRY(opening->begin(forgotten));
  return [opening](std::span<std::byte> out) { return opening->read(out); };
}

}  // namespace vmcore::formats
