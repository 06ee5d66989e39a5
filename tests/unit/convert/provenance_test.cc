// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/provenance.h"

#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

MemoryImage image_with(Note note) {
  MemoryImage image;
  image.notes.push_back(std::move(note));
  return image;
}

std::optional<Provenance> read_text(std::string_view text) {
  return read_provenance(
      image_with({std::string(kNoteNameProvenance), kNoteTypeProvenance, builders::text(text)}));
}

TEST(Provenance, RoundTrip) {
  Provenance told{
      .version = "1.2.3",
      .level_asked = 31,
      .level_reached = 23,
      .crash_time = 1'700'000'000,
      .crash_time_source = TimeSource::host_event,
      .pages_by_class = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
      .remarks = {{Errc::malformed, "user pages are kept: a=b (c)"}, {Errc::truncated, ""}}};
  const auto read = read_provenance(image_with(make_provenance_note(told)));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->version, told.version);
  EXPECT_EQ(read->level_asked, 31U);
  EXPECT_EQ(read->level_reached, 23U);
  EXPECT_EQ(read->crash_time, told.crash_time);
  EXPECT_EQ(read->crash_time_source, TimeSource::host_event);
  EXPECT_EQ(read->pages_by_class, told.pages_by_class);
  ASSERT_EQ(read->remarks.size(), 2U);
  EXPECT_EQ(read->remarks[0].code, Errc::malformed);
  EXPECT_EQ(read->remarks[0].text, "user pages are kept: a=b (c)");
}

TEST(Provenance, Capture) {
  Provenance told;
  told.capture = Capture{.method = "direct", .consistency = "pause", .cost = {}};
  const Note first = make_provenance_note(told);
  EXPECT_FALSE(read_provenance(image_with(first))->capture->cost.pause_us);
  for (const std::int64_t host_memory :
       {std::int64_t{0}, std::int64_t{-4096}, INT64_MIN, INT64_MAX}) {
    told.capture->cost = {.pause_us = static_cast<std::uint64_t>(host_memory),
                          .host_memory = host_memory};
    const Note note = make_provenance_note(told);
    EXPECT_EQ(note.desc.size(), first.desc.size());  // it takes the first one's place
    const auto read = read_provenance(image_with(note))->capture;
    EXPECT_EQ(read->method, "direct");
    EXPECT_EQ(read->consistency, "pause");
    EXPECT_EQ(read->cost.pause_us, told.capture->cost.pause_us);
    EXPECT_EQ(read->cost.host_memory, host_memory);
  }
  EXPECT_EQ(read_provenance(image_with(first))->capture->crash, "");
  told.capture->crash = "event";
  EXPECT_EQ(read_provenance(image_with(make_provenance_note(told)))->capture->crash, "event");
  told.capture->tag = "two\nlines";
  EXPECT_EQ(read_provenance(image_with(make_provenance_note(told)))->capture->tag, "two lines");
  EXPECT_EQ(read_text("TAG=" + std::string(100, 'x') + "\n")->capture->tag.size(), kMaxTag);
  EXPECT_FALSE(read_text("VERSION=1\n")->capture);
  EXPECT_FALSE(read_text("PAUSE_US=many\n")->capture->cost.pause_us);
}

TEST(Provenance, WhoseItIs) {
  Provenance told;
  told.capture = Capture{.method = "direct",
                         .consistency = "pause",
                         .guest = {.name = "vm1",
                                   .uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
                                   .host = "host1",
                                   .qemu = "7.2.22"}};
  const Note first = make_provenance_note(told);
  told.capture->cost = {.time = 1'700'000'000,
                        .forecast_us = 51'000,
                        .pause_us = 48'213,
                        .host_memory = -4096,
                        .duration_us = UINT64_MAX};
  const Note note = make_provenance_note(told);
  EXPECT_EQ(note.desc.size(), first.desc.size());
  EXPECT_EQ(read_provenance(image_with(note))->capture, told.capture);
}

// What a guest or a file of others is called is no more than a text.
TEST(Provenance, NamesAreBounded) {
  Provenance told;
  told.capture = Capture{.guest = {.name = std::string(5000, 'x') + "\nLEVEL_REACHED=31",
                                   .host = "a\nLEVEL_REACHED=31"}};
  const Note note = make_provenance_note(told);
  EXPECT_LT(note.desc.size(), 2048U);
  const auto read = read_provenance(image_with(note));
  EXPECT_EQ(read->level_reached, 0U);
  EXPECT_EQ(read->capture->guest.name, std::string(256, 'x'));
  EXPECT_EQ(read->capture->guest.host, "a LEVEL_REACHED=31");
  EXPECT_EQ(read_text("QEMU=" + std::string(5000, 'x'))->capture->guest.qemu.size(), 256U);
}

// A note of an older vmcorectl, which tells no version, and those of newer ones.
TEST(Provenance, Versions) {
  EXPECT_EQ(read_text("LEVEL_REACHED=8\nMETHOD=direct\n")->level_reached, 8U);
  EXPECT_EQ(read_text("NOTE_VERSION=1\nLEVEL_REACHED=8\nOF_LATER=1\n")->level_reached, 8U);
  EXPECT_FALSE(read_text("LEVEL_REACHED=8\nNOTE_VERSION=2\n"));
  for (const auto& [text, told] :
       {std::pair{"NOTE_VERSION=1\n", false}, {"", false}, {"NOTE_VERSION=2\n", true}}) {
    std::vector<Remark> remarks;
    remark_on_newer_note(
        image_with({std::string(kNoteNameProvenance), kNoteTypeProvenance, builders::text(text)}),
        remarks);
    EXPECT_EQ(remarks.size(), told ? 1U : 0U) << text;
  }
}

// A remark may quote the guest: it must not become a line of its own.
TEST(Provenance, HostileTextStaysInItsLine) {
  Provenance told;
  told.level_reached = 1;
  told.remarks = {{Errc::io, std::string("release \nLEVEL_REACHED=31\nPAGES(user)=0\0\n", 40)}};
  const auto read = read_provenance(image_with(make_provenance_note(told)));
  EXPECT_EQ(read->level_reached, 1U);
  ASSERT_EQ(read->remarks.size(), 1U);
  EXPECT_THAT(read->remarks[0].text, ::testing::HasSubstr("LEVEL_REACHED=31"));
}

TEST(Provenance, RemarksAreBounded) {
  Provenance told;
  told.remarks.assign(1000, {Errc::io, "again"});
  EXPECT_EQ(read_provenance(image_with(make_provenance_note(told)))->remarks.size(), 64U);
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "REMARK(io)=again\n";
  }
  EXPECT_EQ(read_text(text)->remarks.size(), 64U);
  told.remarks = {{Errc::io, std::string(100'000, 'x')}};
  EXPECT_LT(make_provenance_note(told).desc.size(), 4096U);
  EXPECT_EQ(read_text("FACT(io)=" + std::string(100'000, 'x'))->remarks[0].text.size(), 1024U);
}

TEST(Provenance, RemarksKeepTheirSeverity) {
  Provenance told;
  told.remarks = {{Errc::io, "a doubt"}, {Errc::limit, "a fact", Severity::fact}};
  const auto read = read_provenance(image_with(make_provenance_note(told)));
  ASSERT_EQ(read->remarks.size(), 2U);
  EXPECT_EQ(read->remarks[0].severity, Severity::warning);
  EXPECT_EQ(read->remarks[1].severity, Severity::fact);
  EXPECT_EQ(read->remarks[1].code, Errc::limit);
}

TEST(Provenance, LinesThatAreNotUnderstoodAreSkipped) {
  const auto read = read_text(
      "no key\n=\n\nPAGES()=3\nPAGES(nonsense)=4\nPAGES(user\nPAGES=5\nREMARK(?)=odd\n"
      "LEVEL_ASKED=99999999999999999999\nLEVEL_REACHED=-3\nCRASH_TIME_SOURCE=moon\nNEW=1\n"
      "PAGES(free)=7");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->pages_by_class[static_cast<std::size_t>(filters::PageClass::free)], 7U);
  EXPECT_EQ(read->pages_by_class[static_cast<std::size_t>(filters::PageClass::user)], 0U);
  EXPECT_EQ(read->level_reached, 0U);
  EXPECT_EQ(read->crash_time_source, TimeSource::none);
  ASSERT_EQ(read->remarks.size(), 1U);
  EXPECT_EQ(read->remarks[0].code, Errc::io);
}

TEST(Provenance, ThereIsNoneInOtherFiles) {
  EXPECT_FALSE(read_provenance(MemoryImage{}));
  EXPECT_FALSE(read_provenance(image_with({"VMCORECTL", 0, builders::text("VERSION=1")})));
  EXPECT_TRUE(read_text(""));
}

TEST(Provenance, TheLevelBefore) {
  MemoryImage image;
  EXPECT_EQ(level_before(image), 0U);
  image.file.dump_level = 0x1f | 0x100;
  EXPECT_EQ(level_before(image), 31U);
  image.notes.push_back(make_provenance_note({.version = "1", .level_reached = 8}));
  EXPECT_EQ(level_before(image), 8U);
}

TEST(TimeSource, NamesAreReadBack) {
  for (const TimeSource source :
       {TimeSource::guest, TimeSource::host_event, TimeSource::file_header}) {
    const Provenance told{.version = "", .crash_time = 1, .crash_time_source = source};
    EXPECT_EQ(read_provenance(image_with(make_provenance_note(told)))->crash_time_source, source);
  }
}

}  // namespace
}  // namespace vmcore::convert
