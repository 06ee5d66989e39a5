// SPDX-License-Identifier: GPL-2.0-or-later
// A sealed stream: what the key opens is what was sent, up to where something was done to it.
#include "src/formats/guest_stream/sealed_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "src/formats/guest_stream/reader.h"
#include "src/seal/sealed_box.h"

namespace vmcore::formats {
namespace {

using Bytes = std::vector<std::byte>;
using Frames = std::vector<Bytes>;

seal::SecretKey key(unsigned char first = 1) { return seal::SecretKey({first, 2, 3}); }

Bytes part(std::size_t size, int seed) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(seed) * 13 + i / 251);
  }
  return bytes;
}

Bytes joined(const Frames& frames) {
  Bytes all;
  for (const Bytes& frame : frames) {
    all.insert(all.end(), frame.begin(), frame.end());
  }
  return all;
}

// The frames that sealing these parts gives: one for the key, one a part.
Frames sealed(const Frames& parts, const seal::PublicKey& to = key().public_key()) {
  Frames frames;
  auto send = sealed_to(to, [&](std::span<const std::byte> frame) {
    frames.emplace_back(frame.begin(), frame.end());
    return Result<>{};
  });
  EXPECT_TRUE(send);
  for (const Bytes& bytes : parts) {
    EXPECT_TRUE((*send)(bytes));
  }
  return frames;
}

ReadSome line_of(Bytes bytes) {
  return [bytes = std::move(bytes), at = std::size_t{0}](std::span<std::byte> out) mutable {
    const std::size_t size = std::min({std::size_t{1000}, out.size(), bytes.size() - at});
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), size, out.begin());
    at += size;
    return Result<std::size_t>(size);
  };
}

struct Opened {
  Bytes bytes;
  Result<> end;  // of the reading
};

Opened open(const Bytes& line, unsigned char first = 1) {
  auto read = open_sealed(line_of(line), key(first));
  if (!read) {
    return {{}, tl::unexpected(read.error())};
  }
  Opened opened;
  while (true) {
    Bytes some(777);
    const auto got = (*read)(some);
    if (!got || *got == 0) {
      opened.end = got ? Result<>() : tl::unexpected(got.error());
      return opened;
    }
    opened.bytes.insert(opened.bytes.end(), some.begin(),
                        some.begin() + static_cast<std::ptrdiff_t>(*got));
  }
}
Opened open(const Frames& frames) { return open(joined(frames)); }

// The same frame with another payload or number, whole as it looks.
Bytes forged(Bytes frame, std::uint64_t sequence) {
  const auto header = load<FrameHeader>(frame, 0);
  finish_frame(frame, static_cast<FrameKind>(std::uint32_t{header->kind}), header->stream,
               sequence);
  return frame;
}

Frames first(const Frames& frames, std::size_t count) {
  return {frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(count)};
}

const Frames kParts = {part(100, 1), part(70000, 2), part(1, 3), part(5000, 4)};

TEST(SealedStream, IsWhatWasSent) {
  const Frames frames = sealed(kParts);
  EXPECT_EQ(frames.size(), 1 + kParts.size());
  const Opened opened = open(frames);
  EXPECT_TRUE(opened.end);
  EXPECT_EQ(opened.bytes, joined(kParts));
  const Bytes line = joined(frames);
  EXPECT_EQ(std::search(line.begin(), line.end(), kParts[0].begin(), kParts[0].end()), line.end());
}

TEST(SealedStream, TakesAFrameOfAnySize) {
  const Frames parts = {part(kMaxFramePayload + sizeof(FrameHeader), 1), part(10, 2)};
  const Opened opened = open(sealed(parts));
  EXPECT_TRUE(opened.end);
  EXPECT_EQ(opened.bytes, joined(parts));
}

TEST(SealedStream, EndsWhereItWasCut) {
  const Frames frames = sealed(kParts);
  for (std::size_t count = 1; count <= frames.size(); ++count) {
    Bytes line = joined(first(frames, count));
    EXPECT_EQ(open(line).bytes, joined(first(kParts, count - 1)));
    line.pop_back();
    const Opened opened = open(line);
    EXPECT_EQ(opened.end.has_value(), count > 1);  // not opened at all without its key
    if (count > 1) {
      EXPECT_EQ(opened.bytes, joined(first(kParts, count - 2)));
    }
  }
}

TEST(SealedStream, EndsWhereItWasChanged) {
  for (std::size_t spoilt = 1; spoilt <= kParts.size(); ++spoilt) {
    const Bytes before = joined(first(kParts, spoilt - 1));
    Frames frames = sealed(kParts);
    frames[spoilt][sizeof(FrameHeader) + 5] ^= std::byte{4};
    EXPECT_EQ(open(frames).bytes, before);  // by its checksum
    frames[spoilt] = forged(frames[spoilt], spoilt);
    const Opened opened = open(frames);
    EXPECT_EQ(opened.bytes, before);
    EXPECT_EQ(opened.end.error().code, Errc::malformed);
  }
}

TEST(SealedStream, EndsWhereAFrameIsMissing) {
  Frames frames = sealed(kParts);
  frames.erase(frames.begin() + 2);
  Opened opened = open(frames);
  EXPECT_EQ(opened.bytes, kParts[0]);
  EXPECT_EQ(opened.end.error().code, Errc::malformed);
  frames[2] = forged(frames[2], 2);  // the next in its place
  opened = open(frames);
  EXPECT_EQ(opened.bytes, kParts[0]);
  EXPECT_FALSE(opened.end);
}

TEST(SealedStream, EndsWhereFramesChangePlaces) {
  Frames frames = sealed(kParts);
  std::swap(frames[2], frames[3]);
  EXPECT_EQ(open(frames).bytes, kParts[0]);
  frames[2] = forged(frames[2], 2);
  frames[3] = forged(frames[3], 3);
  EXPECT_EQ(open(frames).bytes, kParts[0]);
}

TEST(SealedStream, TakesARepetitionOnce) {
  Frames frames = sealed(kParts);
  frames.insert(frames.begin() + 2, frames[1]);
  EXPECT_EQ(open(frames).bytes, joined(kParts));
  frames.insert(frames.begin() + 5, forged(frames[1], 4));  // under a number of its own
  EXPECT_LT(open(frames).bytes.size(), joined(kParts).size());
}

TEST(SealedStream, EndsWhereAnotherBegins) {
  Frames frames = sealed({kParts[0]});
  const Frames second = sealed(kParts);
  frames.insert(frames.end(), second.begin(), second.end());
  const Opened opened = open(frames);
  EXPECT_EQ(opened.bytes, kParts[0]);
  EXPECT_EQ(opened.end.error().code, Errc::truncated);
}

TEST(SealedStream, NoOtherKeyOpensIt) {
  EXPECT_EQ(open(joined(sealed(kParts)), 9).end.error().code, Errc::denied);
}

TEST(SealedStream, SkipsWhatIsNotSealedToItsKey) {
  Frames frames = sealed({part(50, 9)}, key(9).public_key());  // an earlier crash
  frames.push_back(part(3000, 5));                             // noise
  frames.push_back(sealed(kParts)[1]);                         // of a stream without its beginning
  const Frames ours = sealed(kParts);
  frames.insert(frames.end(), ours.begin(), ours.end());
  EXPECT_EQ(open(frames).bytes, joined(kParts));
}

TEST(SealedStream, DoesNotTryKeysForEver) {
  Frames frames;
  const Bytes foreign = sealed({part(1, 1)}, key(9).public_key())[0];
  frames.resize(10000, foreign);
  const Frames ours = sealed(kParts);
  frames.insert(frames.end(), ours.begin(), ours.end());
  EXPECT_EQ(open(frames).end.error().code, Errc::denied);
}

TEST(SealedStream, APlainOneIsRefused) {
  Bytes line;
  GuestStreamWriter writer(
      [&](std::span<const std::byte> frame) {
        line.insert(line.end(), frame.begin(), frame.end());
        return Result<>{};
      },
      random_stream_id());
  EXPECT_TRUE(writer.hello({}));
  const Opened opened = open(line);
  EXPECT_EQ(opened.end.error().code, Errc::denied);
  EXPECT_NE(opened.end.error().message.find("the stream is not sealed"), std::string::npos);
}

TEST(SealedStream, WhenItCrashedAnybodyMaySee) {
  Frames frames;
  const auto payload = [&] { return std::span(frames[0]).subspan(sizeof(FrameHeader)); };
  const auto send = [&](std::span<const std::byte> frame) {
    frames.emplace_back(frame.begin(), frame.end());
    return Result<>{};
  };
  ASSERT_TRUE((*sealed_to(key().public_key(), send, 1'763'751'095))(kParts[0]));
  EXPECT_EQ(clear_crash_time(payload()), 1'763'751'095U);
  EXPECT_EQ(clear_crash_time(payload().first(seal::kPreambleSize)), std::nullopt);
  EXPECT_EQ(open(frames).bytes, kParts[0]);
  frames = sealed(kParts);
  EXPECT_EQ(clear_crash_time(payload()), std::nullopt);
}

// It may be missing, and more may come to stand there.
TEST(SealedStream, BehindThePreambleAnythingMayBe) {
  const Frames as_sent = sealed(kParts);
  for (const std::size_t size : {seal::kPreambleSize, seal::kPreambleSize + 100}) {
    Frames frames = as_sent;
    frames[0].resize(sizeof(FrameHeader) + size);
    finish_frame(frames[0], FrameKind::sealed_key, load<FrameHeader>(as_sent[0], 0)->stream, 0);
    EXPECT_EQ(open(frames).bytes, joined(kParts));
  }
}

struct Nothing : GuestStreamSink {
  Result<> hello(const GuestHello&) override { return {}; }
  Result<> log(std::string_view) override { return {}; }
  Result<> pages(Pfn, std::span<const std::byte>) override { return {}; }
};

TEST(SealedStream, ThePlainReaderSaysThatItTakesAKey) {
  Nothing sink;
  const auto read = read_guest_stream(line_of(joined(sealed(kParts))), sink, {});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::denied);
  EXPECT_NE(read.error().message.find("--key"), std::string::npos);
}

}  // namespace
}  // namespace vmcore::formats
