// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/messages.h"

#include <gtest/gtest.h>

namespace vmcore::sandbox {
namespace {

template <class T>
T round_trip(const T& event) {
  const auto decoded = decode_event(encode(Event(event)));
  EXPECT_TRUE(decoded) << decoded.error().message;
  return std::get<T>(*decoded);
}

TEST(Messages, Requests) {
  Request request{.operation = Operation::dmesg,
                  .how = {.level = 8,
                          .format = DumpFormat::elf,
                          .codec = Codec::lzo,
                          .threads = 7,
                          .bandwidth = 1ULL << 33,
                          .dry_run = true,
                          .verify = true},
                  .search_memory = false,
                  .descriptors = {"source", "output"}};
  for (const bool with_options : {false, true}) {
    if (with_options) {
      request.how.compress_level = -3;
      request.host_event_time = 1'700'000'000;
      request.capture = Capture{.method = "guest", .consistency = "stopped", .crash = "event"};
      request.hint = InfoPlace{{0x1234'5000}, "0123456789abcdef"};
    }
    const auto decoded = decode_request(encode(request));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->operation, Operation::dmesg);
    EXPECT_EQ(decoded->how, request.how);
    EXPECT_FALSE(decoded->search_memory);
    EXPECT_EQ(decoded->descriptors, request.descriptors);
    ASSERT_EQ(decoded->capture.has_value(), with_options);
    if (decoded->capture) {
      EXPECT_EQ(decoded->capture->method, "guest");
      EXPECT_EQ(decoded->capture->consistency, "stopped");
      EXPECT_EQ(decoded->capture->crash, "event");
    }
    EXPECT_EQ(decoded->hint, request.hint);
    EXPECT_EQ(decoded->host_event_time, request.host_event_time);
  }
}

template <class Kind>
Kind round_trip_input(Kind kind) {
  const auto decoded = decode_request(encode(Request{.input = std::move(kind)}));
  EXPECT_TRUE(decoded) << decoded.error().message;
  return std::get<Kind>(decoded->input);
}

TEST(Messages, EveryKindOfInput) {
  round_trip_input(FileInput{});
  round_trip_input(StreamInput{});
  round_trip_input(FetchedInput{});
  EXPECT_TRUE(round_trip_input(ProcessInput{.torn = true}).torn);
  EXPECT_TRUE(round_trip_input(ProcessInput{.rehearsal = true}).rehearsal);
  EXPECT_FALSE(round_trip_input(ProcessInput{.rehearsal = true}).torn);
  EXPECT_TRUE(round_trip_input(ProcessInput{.copied = true}).copied);
  EXPECT_TRUE(round_trip_input(LiveInput{.torn = true}).torn);
  const std::vector<BlockPlace> places{{{{0}, 4096}, "ram0", 0},
                                       {{{1ULL << 32}, 8192}, "/objects/ram", 4096}};
  EXPECT_EQ(round_trip_input(SnapshotInput{places}).places, places);
  const StreamTerms terms =
      round_trip_input(GuestStreamInput{{1ULL << 33, 1ULL << 32, 5, 60'000, 0}}).terms;
  EXPECT_EQ(terms.most_ram, 1ULL << 33);
  EXPECT_EQ(terms.most_kept, 1ULL << 32);
  EXPECT_EQ(terms.wait_ms, 5U);
  EXPECT_EQ(terms.idle_ms, 60'000U);
  EXPECT_EQ(terms.deadline_ms, 0U);
}

std::string with(std::string text, std::string_view from, std::string_view to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(Messages, WhatIsNotKnownIsRefused) {
  const std::string request = encode(Request{});
  for (const std::string& wrong :
       {with(request, "\"convert\"", "\"erase\""), with(request, "\"file\"", "\"folder\"")}) {
    const auto decoded = decode_request(wrong);
    ASSERT_FALSE(decoded) << wrong;
    EXPECT_EQ(decoded.error().code, Errc::malformed);
  }
}

TEST(Messages, OnlyAGuestThatRunsIsTorn) {
  EXPECT_TRUE(is_torn({.input = ProcessInput{.torn = true}}));
  EXPECT_TRUE(is_torn({.input = LiveInput{.torn = true}}));
  EXPECT_FALSE(is_torn({.input = ProcessInput{.rehearsal = true}}));
  EXPECT_FALSE(is_torn({.input = FileInput{}}));
}

TEST(Messages, OnlyFormatsAndCodecsThatThereAre) {
  for (const auto& [known, unknown] :
       {std::pair(R"("kdump")", R"("qcow2")"), {R"("zstd")", R"("lz4")"}, {R"("zstd")", "5"}}) {
    std::string packet = encode(Request{});
    const std::size_t at = packet.find(known);
    ASSERT_NE(at, std::string::npos) << packet;
    packet.replace(at, std::string_view(known).size(), unknown);
    EXPECT_EQ(decode_request(packet).error().code, Errc::malformed) << packet;
  }
}

TEST(Messages, Events) {
  EXPECT_EQ(round_trip(Progress{3, 5}).done, 3U);
  EXPECT_EQ(round_trip(Progress{3, 5}).all, 5U);
  EXPECT_EQ(round_trip(Spooling{1ULL << 40}).bytes, 1ULL << 40);
  round_trip(SourceRead{});
  EXPECT_EQ(round_trip(Ready{48'000, 57}).pause_us, 48'000U);
  EXPECT_EQ(round_trip(Ready{48'000, 57}).kept_pages, 57U);
  EXPECT_EQ(round_trip(Want{{{0x1000}, 0x2000}}).range, (PhysRange{{0x1000}, 0x2000}));
  const std::vector<PhysRange> blocks{{{0}, 0xa0000}, {{1ULL << 32}, 1ULL << 40}};
  EXPECT_EQ(round_trip(Locate{blocks}).blocks, blocks);
  const Hello hello = round_trip(Hello{"6.1.0", "drill", 1ULL << 30, true, true});
  EXPECT_EQ(hello.release + hello.tag, "6.1.0drill");
  EXPECT_EQ(hello.ram_bytes, 1ULL << 30);
  EXPECT_TRUE(hello.encrypted);
  EXPECT_TRUE(hello.pstore);
  EXPECT_EQ(round_trip(LogRead{7, "Kernel panic"}).bytes, 7U);
  EXPECT_EQ(round_trip(LogRead{7, "Kernel panic"}).panic, "Kernel panic");
  const Failed failed = round_trip(Failed{{Errc::no_space, "full"}});
  EXPECT_EQ(failed.error.code, Errc::no_space);
  EXPECT_EQ(failed.error.message, "full");
}

TEST(Messages, OnlyPlacesThatCanBe) {
  Done done;
  EXPECT_FALSE(round_trip(done).place);
  done.place = InfoPlace{{0x1234'5000}, "0123456789abcdef"};
  EXPECT_EQ(round_trip(done).place, done.place);
  for (const InfoPlace& wrong : {InfoPlace{{0x1234'5001}, ""}, InfoPlace{{kMaxPhysAddr}, ""},
                                 InfoPlace{{0}, "ABC"}, InfoPlace{{0}, std::string(129, 'a')}}) {
    done.place = wrong;
    EXPECT_EQ(decode_event(encode(Event(done))).error().code, Errc::malformed);
    Request request;
    request.hint = wrong;
    EXPECT_EQ(decode_request(encode(request)).error().code, Errc::malformed);
  }
}

TEST(Messages, OnlyMemoryThatCanBeIsLocated) {
  for (const PhysRange& wrong : {PhysRange{{0}, 0}, PhysRange{{kMaxPhysAddr}, 4096},
                                 PhysRange{{4096}, ~0ULL}, PhysRange{{~0ULL}, 2}}) {
    const auto event = decode_event(encode(Event(Locate{{{{0}, 4096}, wrong}})));
    ASSERT_FALSE(event);
    EXPECT_EQ(event.error().code, Errc::malformed);
  }
  EXPECT_FALSE(decode_event(
      encode(Event(Locate{std::vector<PhysRange>(kMaxPieces + 1, PhysRange{{0}, 1})}))));
  EXPECT_TRUE(round_trip(Locate{}).blocks.empty());
}

TEST(Messages, Located) {
  const std::vector<Piece> pieces{
      {.range = {{0}, 4096}, .address = ~0ULL, .file = {}},
      {.range = {{4096}, 8192}, .address = {}, .file = FilePlace{3, 1ULL << 50}},
      {.range = {{1ULL << 40}, 1}, .address = 7, .file = FilePlace{0, 0}}};
  const auto decoded = decode_located(encode(Located{.error = {}, .pieces = pieces}));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->pieces, pieces);
  EXPECT_FALSE(decoded->error);
  const auto refused =
      decode_located(encode(Located{.error = Error{Errc::denied, "no"}, .pieces = {}}));
  ASSERT_TRUE(refused && refused->error);
  EXPECT_EQ(refused->error->code, Errc::denied);
  EXPECT_FALSE(decode_located(R"({"pieces": [[1, 2]]})"));
  EXPECT_FALSE(decode_located(R"({"pieces": [[1, 2, "x", null, 0]]})"));
}

TEST(Messages, LocatedTellsRegisters) {
  CpuState cpu;
  cpu.index = 7;
  cpu.rip = ~0ULL;
  cpu.rsp = 1;
  cpu.rflags = 2;
  cpu.cs.selector = 0x33;
  cpu.gs.base = 3;
  cpu.cr0 = 4;
  cpu.cr3 = ~0ULL;
  const auto decoded = decode_located(encode(Located{.error = {}, .pieces = {}, .cpus = {cpu}}));
  ASSERT_TRUE(decoded) << decoded.error().message;
  ASSERT_EQ(decoded->cpus.size(), 1U);
  const CpuState& got = decoded->cpus[0];
  EXPECT_EQ(got.index, cpu.index);
  EXPECT_EQ(got.rip, cpu.rip);
  EXPECT_EQ(got.rsp, cpu.rsp);
  EXPECT_EQ(got.rflags, cpu.rflags);
  EXPECT_EQ(got.cs.selector, cpu.cs.selector);
  EXPECT_EQ(got.gs.base, cpu.gs.base);
  EXPECT_EQ(got.cr0, cpu.cr0);
  EXPECT_EQ(got.cr3, cpu.cr3);
  EXPECT_EQ(got.cr4, std::nullopt);
  EXPECT_FALSE(decode_located(R"({"pieces": [], "cpus": [[1, 2]]})"));
  EXPECT_FALSE(decode_located(R"({"pieces": []})"));
}

TEST(Messages, OfMoreCpusThanFitAsManyAreToldAsDo) {
  CpuState cpu;
  cpu.rip = cpu.rsp = cpu.gs.base = ~0ULL;
  cpu.cr0 = cpu.cr3 = cpu.cr4 = ~0ULL;
  const Located located{.error = {}, .pieces = {}, .cpus = std::vector<CpuState>(4096, cpu)};
  EXPECT_LE(encode(located).size(), kMaxPacket);
  EXPECT_GT(decode_located(encode(located))->cpus.size(), 300U);
}

TEST(Messages, TheLargestAnswerFitsIntoAPacket) {
  const Piece longest{.range = {{kMaxPhysAddr - 1}, kMaxPhysAddr - 1},
                      .address = ~0ULL,
                      .file = FilePlace{kMaxFds, ~0ULL}};
  const Located located{.error = {}, .pieces = std::vector<Piece>(kMaxPieces, longest)};
  EXPECT_LE(encode(located).size(), kMaxPacket);
  const Locate locate{std::vector<PhysRange>(kMaxPieces, longest.range)};
  EXPECT_LE(encode(Event(locate)).size(), kMaxPacket);
}

report::Summary round_trip(const report::Summary& summary) {
  return round_trip(sandbox::Done{.summary = summary}).summary;
}

TEST(Messages, Done) {
  const report::Summary done =
      round_trip(report::Summary{.release = "6.1",
                                 .level_asked = 31,
                                 .level_reached = 23,
                                 .incomplete = true,
                                 .ram_pages = 1,
                                 .kept_pages = 2,
                                 .lost_pages = 3,
                                 .crashed = true,
                                 .armed = false,
                                 .classes = {{"free", "free pages", 4}},
                                 .remarks = {{Errc::limit, "a remark", Severity::fact}}});
  EXPECT_EQ(done.release, "6.1");
  EXPECT_EQ(done.level_asked, 31U);
  EXPECT_EQ(done.level_reached, 23U);
  EXPECT_TRUE(done.incomplete);
  EXPECT_EQ(done.ram_pages + done.kept_pages + done.lost_pages, 6U);
  EXPECT_TRUE(done.crashed);
  EXPECT_EQ(done.armed, false);
  EXPECT_EQ(round_trip(report::Summary{}).armed, std::nullopt);
  ASSERT_EQ(done.classes.size(), 1U);
  EXPECT_EQ(done.classes[0].title, "free pages");
  ASSERT_EQ(done.remarks.size(), 1U);
  EXPECT_EQ(done.remarks[0].code, Errc::limit);
  EXPECT_EQ(done.remarks[0].severity, Severity::fact);
}

TEST(Messages, Cost) {
  const auto cost = decode_cost(encode(sandbox::Cost{.pause_us = 48'213, .host_memory = -4096}));
  EXPECT_EQ(cost->pause_us, 48'213U);
  EXPECT_EQ(cost->host_memory, -4096);
  const auto nothing = decode_cost(encode(sandbox::Cost{}));
  EXPECT_FALSE(nothing->pause_us || nothing->host_memory);
  EXPECT_FALSE(decode_cost(R"({"pause_us": "long"})"));
}

TEST(Messages, Have) {
  EXPECT_FALSE(decode_have(encode(sandbox::Have{}))->error);
  const auto have = decode_have(encode(sandbox::Have{Error{Errc::busy, "later"}}));
  EXPECT_EQ(have->error->code, Errc::busy);
  EXPECT_EQ(have->error->message, "later");
}

TEST(Messages, BytesThatAreNoUtf8DoNotBreakThem) {
  const auto done = round_trip(report::Summary{.release = "6.1\xff\xc0 \x1b[31m"});
  EXPECT_TRUE(done.release.starts_with("6.1"));
}

std::vector<Remark> many_remarks(std::size_t count, std::string_view text) {
  return std::vector<Remark>(count, {Errc::malformed, std::string(text)});
}

TEST(Messages, TooManyRemarksAreCutAndSaidSo) {
  const auto done = round_trip(report::Summary{.remarks = many_remarks(1000, "short")});
  ASSERT_EQ(done.remarks.size(), 65U);
  EXPECT_EQ(done.remarks.back().code, Errc::limit);
}

// Control characters take six bytes each in JSON.
TEST(Messages, APacketIsNeverTooLarge) {
  const std::string hostile(100'000, '\x01');
  const std::string packet =
      encode(Event(sandbox::Done{{.release = hostile, .remarks = many_remarks(64, hostile)}}));
  EXPECT_LE(packet.size(), kMaxPacket);
  const auto decoded = decode_event(packet);
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& done = std::get<sandbox::Done>(*decoded).summary;
  EXPECT_GT(done.remarks.size(), 1U);  // as many as fit
  EXPECT_EQ(done.remarks.back().code, Errc::limit);
  EXPECT_LE(encode(Event(Failed{{Errc::io, hostile}})).size(), kMaxPacket);
}

class NoMessages : public ::testing::TestWithParam<std::string> {};

TEST_P(NoMessages, AreRefused) {
  const auto request = decode_request(GetParam());
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code, Errc::malformed);
  const auto event = decode_event(GetParam());
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, Errc::malformed);
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

INSTANTIATE_TEST_SUITE_P(
    Packets, NoMessages,
    ::testing::Values("", "{", "null", "[]", "{}", "7", "\"text\"", R"({"type":7})",
                      R"({"type":"progress"})", R"({"type":"progress","done":"x","all":1})",
                      R"({"type":"progress","done":1e300,"all":1})",
                      R"({"type":"want","begin":[],"size":1})",
                      R"({"type":"want","begin":0,"size":1099511627776})",
                      R"({"type":"want","begin":0,"size":0})", R"({"type":"failed","error":3})",
                      R"({"type":"done","release":1})", R"({"operation":[]})", "\xff\xfe",
                      nested(30'000), R"({"type":)" + nested(100) + "}",
                      std::string(kMaxPacket, 'x')));

TEST(Messages, AnUnknownEventIsRefused) { EXPECT_FALSE(decode_event(R"({"type":"dance"})")); }

}  // namespace
}  // namespace vmcore::sandbox
