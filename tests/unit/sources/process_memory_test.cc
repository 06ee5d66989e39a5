// SPDX-License-Identifier: GPL-2.0-or-later
// This process's own mappings stand for a guest's RAM.
#include "src/sources/process_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <thread>

#include "src/base/sys.h"
#include "src/image/page.h"
#include "src/sandbox/messages.h"
#include "tests/builders/dump_builder.h"

namespace vmcore::sources {
namespace {

using builders::Bytes;

constexpr std::uint64_t kBlock = 512 * kPageSize;
constexpr std::uint64_t kSize = 4 * kBlock;

// A mapping, at a multiple of the block size.
class Mapped {
 public:
  Mapped(int flags, int file) {
    char* const room = static_cast<char*>(::mmap(
        nullptr, kSize + kBlock, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    room_ = room;
    const auto at = reinterpret_cast<std::uint64_t>(room);
    bytes_ = room + (kBlock - at % kBlock) % kBlock;
    EXPECT_NE(::mmap(bytes_, kSize, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file, 0),
              MAP_FAILED);
    ::madvise(bytes_, kSize, MADV_NOHUGEPAGE);
  }
  ~Mapped() { ::munmap(room_, kSize + kBlock); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  char* at(std::uint64_t offset) { return bytes_ + offset; }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(bytes_); }
  // The pages of it that the process has.
  std::size_t resident() const {
    std::vector<unsigned char> pages(kSize / kPageSize);
    ::mincore(bytes_, kSize, pages.data());
    return static_cast<std::size_t>(
        std::ranges::count_if(pages, [](auto page) { return page & 1; }));
  }

 private:
  char* room_ = nullptr;
  char* bytes_ = nullptr;
};

Fd own(const char* name) { return Fd(::open(name, O_RDONLY | O_CLOEXEC)); }

// Reads this process, or another file that stands for it.
class FileReader final : public ProcessReader {
 public:
  explicit FileReader(Fd file) : file_(std::move(file)) {}
  Result<std::size_t> read(std::uint64_t address, std::span<std::byte> out) const override {
    return sys::pread_full(file_.get(), out, address);
  }

 private:
  Fd file_;
};

const ProcessReader& own_memory() {
  static const FileReader reader(own("/proc/self/mem"));
  return reader;
}

std::unique_ptr<ProcessMemory> memory_of(std::vector<Piece> pieces, std::vector<int> files = {},
                                         const Copier* copier = nullptr) {
  ImageSource source{
      .memory = {}, .pagemap = own("/proc/self/pagemap"), .files = {}, .pieces = std::move(pieces)};
  for (const int file : files) {
    source.files.emplace_back(::dup(file));
  }
  auto memory = ProcessMemory::make(std::move(source), own_memory(), GuestIs::running, copier);
  EXPECT_TRUE(memory) << memory.error().message;
  return memory ? *std::move(memory) : nullptr;
}

std::string text_at(const PhysicalMemory& memory, std::uint64_t address, std::size_t size) {
  std::string text(size, '?');
  const auto got = memory.read({address}, std::as_writable_bytes(std::span(text)));
  EXPECT_TRUE(got) << got.error().message;
  text.resize(got ? got->good : 0);
  return text;
}

// "data 2, zero 1": the extents in blocks.
std::string extents(const PhysicalMemory& memory, std::uint64_t from, std::uint64_t size) {
  std::string text;
  for (std::uint64_t at = from; at < from + size;) {
    const Extent extent = memory.extent({at});
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", presence_name(extent.presence),
                        static_cast<double>(extent.range.size) / static_cast<double>(kBlock));
    at = extent.range.end().value;
  }
  return text;
}

Fd memfd() {
  Fd file(::memfd_create("ram", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(file.get(), kSize), 0);
  return file;
}

TEST(ProcessMemory, AnonymousPagesThatWereNeverTouchedAreZeroUnread) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::strcpy(ram.at(kBlock + 5 * kPageSize - 3), "across pages");
  const auto memory =
      memory_of({{.range = {{0x100000}, kSize}, .address = ram.address(), .file = {}}});
  EXPECT_EQ(
      extents(*memory, 0x100000, kSize),
      "zero 1, missing from this dump 1, zero 2");  // presence_name of data says why a read failed
  EXPECT_EQ(text_at(*memory, 0x100000 + kBlock + 5 * kPageSize - 3, 12), "across pages");
  const std::size_t before = ram.resident();
  EXPECT_EQ(text_at(*memory, 0x100000, kSize).size(), kSize);
  EXPECT_EQ(ram.resident(), before) << "reading made the host allocate";
}

TEST(ProcessMemory, SharedPagesAreTheFiles) {
  const Fd file = memfd();
  Mapped ram(MAP_SHARED, file.get());
  std::strcpy(ram.at(2 * kBlock), "shared");
  const auto memory =
      memory_of({{.range = {{0}, kSize}, .address = {}, .file = FilePlace{0, 0}}}, {file.get()});
  EXPECT_EQ(extents(*memory, 0, 2 * kBlock), "zero 2");
  EXPECT_EQ(memory->extent({2 * kBlock}).presence, Presence::data);
  EXPECT_EQ(text_at(*memory, 2 * kBlock, 6), "shared");
  EXPECT_EQ(text_at(*memory, 7, 2), std::string(2, '\0'));
}

// What memory-backend-file with share=off is: stale bytes in the file, the guest's in the process.
TEST(ProcessMemory, PrivatePagesBeatTheFilesAndTheRestIsTheFiles) {
  const Fd file = memfd();
  ASSERT_EQ(::pwrite(file.get(), "stale", 5, 0), 5);
  ASSERT_EQ(::pwrite(file.get(), "initial", 7, kBlock), 7);
  Mapped ram(MAP_PRIVATE, file.get());
  std::strcpy(ram.at(0), "fresh");
  const auto memory = memory_of(
      {{.range = {{0}, kSize}, .address = ram.address(), .file = FilePlace{0, 0}}}, {file.get()});
  EXPECT_EQ(text_at(*memory, 0, 5), "fresh");
  EXPECT_EQ(text_at(*memory, kBlock, 7), "initial");
  EXPECT_EQ(text_at(*memory, kBlock - 2, 4), std::string("\0\0in", 4));
  struct stat status {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  const auto blocks = status.st_blocks;
  text_at(*memory, 0, kSize);
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_blocks, blocks) << "reading made the host allocate";
}

TEST(ProcessMemory, RangesAreKept) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::strcpy(ram.at(kPageSize - 2), "ab");
  std::strcpy(ram.at(8 * kPageSize), "cd");
  const auto memory = memory_of(
      {{.range = {{0x1000}, kPageSize}, .address = ram.address(), .file = {}},
       {.range = {{0x2000}, kPageSize}, .address = ram.address() + 8 * kPageSize, .file = {}},
       {.range = {{0x8000}, kPageSize}, .address = ram.address(), .file = {}}});
  EXPECT_EQ(text_at(*memory, 0x1ffe, 4), "abcd");
  EXPECT_EQ(memory->extent({0}).presence, Presence::absent);
  EXPECT_EQ(memory->extent({0}).range.size, 0x1000U);
  EXPECT_EQ(memory->extent({0x3000}).range, (PhysRange{{0x3000}, 0x5000}));
  EXPECT_EQ(memory->extent({0x9000}).range.end(), PhysAddr{kMaxPhysAddr});
  for (const std::uint64_t address : {0x0U, 0x1000U, 0x2fffU, 0x3000U, 0x8000U, 0x9000U}) {
    const bool there = memory->extent({address}).presence != Presence::absent;
    EXPECT_EQ(memory->outline({address}).range, memory->extent({address}).range);
    EXPECT_EQ(memory->presence({address}), there ? Presence::data : Presence::absent) << address;
  }
  std::byte bytes[16];
  const auto got = memory->read({0x2ff8}, bytes);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->good, 8U);
  EXPECT_EQ(got->first_bad, PhysAddr{0x3000});
}

// A page that the host lost (poisoned), or memory that was unplugged meanwhile.
TEST(ProcessMemory, APageThatCannotBeReadIsBad) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::memset(ram.at(0), 'x', 4 * kPageSize);
  const FileReader nothing(Fd(::memfd_create("memory", MFD_CLOEXEC)));
  ImageSource source{
      .memory = {},
      .pagemap = own("/proc/self/pagemap"),
      .files = {},
      .pieces = {{.range = {{0}, 4 * kPageSize}, .address = ram.address(), .file = {}}}};
  const auto memory = ProcessMemory::make(std::move(source), own_memory(), GuestIs::running);
  ASSERT_TRUE(memory);
  // /proc/PID/mem reads what is mapped without access; what has pages and no mapping cannot be, so
  // a short source stands for it.
  ImageSource broken{
      .memory = {},
      .pagemap = own("/proc/self/pagemap"),
      .files = {},
      .pieces = {{.range = {{0}, 4 * kPageSize}, .address = ram.address(), .file = {}}}};
  const auto lost = ProcessMemory::make(std::move(broken), nothing, GuestIs::running);
  std::byte bytes[2 * kPageSize];
  const auto got = (*lost)->read({kPageSize}, bytes);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->good, 0U);
  EXPECT_EQ(got->first_bad, PhysAddr{kPageSize});
}

// Reads this process; of a page nothing can be had. Counts.
class CountingReader final : public ProcessReader {
 public:
  explicit CountingReader(std::uint64_t bad = 0) : bad_(bad) {}
  Result<std::size_t> read(std::uint64_t address, std::span<std::byte> out) const override {
    ++asked;
    const bool short_of = bad_ >= address && bad_ < address + out.size();
    return own_memory().read(address, short_of ? out.first(bad_ - address) : out);
  }
  mutable std::atomic<unsigned> asked = 0;

 private:
  std::uint64_t bad_;
};

std::unique_ptr<ProcessMemory> memory_by(const ProcessReader& reader, const Mapped& ram,
                                         GuestIs guest = GuestIs::running) {
  return *ProcessMemory::make(
      {.memory = {},
       .pagemap = own("/proc/self/pagemap"),
       .files = {},
       .pieces = {{.range = {{0}, kSize}, .address = ram.address(), .file = {}}}},
      reader, guest);
}

TEST(ProcessMemory, SmallReadsNearEachOtherAskSeldom) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::memset(ram.at(0), 'x', 8 * kPageSize);
  const CountingReader reader;
  const auto memory = memory_by(reader, ram);
  for (std::uint64_t at = 0; at < 1000; ++at) {
    ASSERT_EQ(text_at(*memory, 8 * at, 8), "xxxxxxxx");
  }
  EXPECT_GE(reader.asked, 1U);
  EXPECT_LT(reader.asked, 900U);  // on a host that does nothing else, one
  // Where a page was never touched, nothing beside it is read.
  EXPECT_EQ(text_at(*memory, kBlock, 8), std::string(8, '\0'));
  EXPECT_EQ(text_at(*memory, 7 * kPageSize, kPageSize), std::string(kPageSize, 'x'));
}

TEST(ProcessMemory, WhatAGuestThatStandsStillHasIsReadOnce) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::memset(ram.at(0), 'x', 8 * kPageSize);
  const CountingReader reader;
  const auto memory = memory_by(reader, ram, GuestIs::still);
  for (unsigned i = 0; i < 3; ++i) {
    ASSERT_EQ(text_at(*memory, 0, 8), "xxxxxxxx");
    std::this_thread::sleep_for(std::chrono::milliseconds(15));  // longer than of one that runs
  }
  EXPECT_EQ(reader.asked, 1U);
}

TEST(ProcessMemory, WhatTheGuestChangesIsSeen) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::memset(ram.at(0), 'x', 8 * kPageSize);
  const CountingReader reader;
  const auto memory = memory_by(reader, ram);
  ASSERT_EQ(text_at(*memory, 0, 1), "x");
  *ram.at(0) = 'y';
  while (text_at(*memory, 0, 1) != "y") {
  }
}

TEST(ProcessMemory, APageThatCannotBeReadHidesNoneBesideIt) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::memset(ram.at(0), 'x', 8 * kPageSize);
  const CountingReader reader(ram.address() + 2 * kPageSize);
  const auto memory = memory_by(reader, ram);
  EXPECT_EQ(text_at(*memory, kPageSize, 8), "xxxxxxxx");
  EXPECT_EQ(text_at(*memory, 2 * kPageSize, 8), "");
  EXPECT_EQ(text_at(*memory, 3 * kPageSize, 8), "xxxxxxxx");
}

// Where there is RAM is known without looking at it.
TEST(ProcessMemory, AnOutlineDoesNotTellZeros) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::strcpy(ram.at(0), "touched");
  const auto memory =
      memory_of({{.range = {{kBlock}, kSize}, .address = ram.address(), .file = {}}});
  const PhysAddr untouched{3 * kBlock};
  EXPECT_EQ(memory->extent(untouched).presence, Presence::zero);
  EXPECT_EQ(memory->outline(untouched).presence, Presence::data);
  EXPECT_EQ(memory->outline({kBlock}).range, (PhysRange{{kBlock}, kSize}));
  EXPECT_EQ(memory->outline({0}).range, (PhysRange{{0}, kBlock}));
}

TEST(ProcessMemory, RefusesPiecesThatCannotBe) {
  const auto refused = [](std::vector<Piece> pieces) {
    const auto memory = ProcessMemory::make(
        {.memory = Fd(), .pagemap = Fd(), .files = {}, .pieces = std::move(pieces)}, own_memory(),
        GuestIs::running);
    return !memory && memory.error().code == Errc::malformed;
  };
  EXPECT_TRUE(refused({{.range = {{0}, kPageSize}, .address = {}, .file = {}}}));
  EXPECT_TRUE(refused({{.range = {{0}, kPageSize}, .address = {}, .file = FilePlace{0, 0}}}));
  EXPECT_TRUE(refused({{.range = {{0}, 0}, .address = 1, .file = {}}}));
  EXPECT_TRUE(refused({{.range = {{kMaxPhysAddr}, kPageSize}, .address = 1, .file = {}}}));
  EXPECT_TRUE(refused({{.range = {{0}, ~0ULL}, .address = 1, .file = {}}}));
  EXPECT_TRUE(refused({{.range = {{0}, 2 * kPageSize}, .address = 1, .file = {}},
                       {.range = {{kPageSize}, kPageSize}, .address = 1, .file = {}}}));
}

// Answers as vmcorectl does, for this process, with capital letters; of `bad` nothing can be had.
class UpperCaseCopier {
 public:
  explicit UpperCaseCopier(std::uint64_t bad = 0) : bad_(bad) {
    thread_ = std::thread([this] { serve(); });
  }
  ~UpperCaseCopier() {
    ::shutdown(ends_.second.fd(), SHUT_RDWR);
    thread_.join();
  }
  Copier copier() { return {ends_.first, room_}; }
  std::uint64_t asked() const { return asked_; }

 private:
  void serve() {
    while (const auto packet = ends_.second.receive()) {
      const auto event = sandbox::decode_event(packet->text);
      const std::uint64_t count = std::get<sandbox::Copy>(*event).entries;
      asked_ += count;
      for (sandbox::CopyEntry& entry : room_.table().first(count)) {
        const auto* const from = reinterpret_cast<const char*>(entry.address);
        if (bad_ >= entry.address && bad_ < entry.address + entry.size) {
          entry.size = bad_ - entry.address;
        }
        std::transform(from, from + entry.size,
                       reinterpret_cast<char*>(room_.pages().data()) + entry.place,
                       [](unsigned char c) { return std::toupper(c); });
      }
      EXPECT_TRUE(ends_.second.send(encode(sandbox::Have{})));
    }
  }

  std::uint64_t bad_;
  sandbox::CopyRoom room_ = *sandbox::CopyRoom::map(sandbox::CopyRoom::make(kSize)->get());
  std::pair<sandbox::Channel, sandbox::Channel> ends_ = *sandbox::Channel::make_pair();
  std::atomic<std::uint64_t> asked_ = 0;
  std::thread thread_;
};

std::string text_of(const ReadPart& part, std::size_t size) {
  return {reinterpret_cast<const char*>(part.out.data()), std::min(size, part.good)};
}

TEST(ProcessMemory, OnlyPagesOfTheProcessItselfAreCopiedForUs) {
  const Fd file = memfd();
  Mapped shared(MAP_SHARED, file.get());
  std::strcpy(shared.at(0), "shared");
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::strcpy(ram.at(0), "first");
  std::strcpy(ram.at(kPageSize), "second");
  std::strcpy(ram.at(7 * kPageSize), "alone");
  UpperCaseCopier served;
  const Copier copier = served.copier();
  const auto memory =
      memory_of({{.range = {{0}, 16 * kPageSize}, .address = ram.address(), .file = {}},
                 {.range = {{kBlock}, kBlock}, .address = {}, .file = FilePlace{0, 0}}},
                {file.get()}, &copier);
  const auto room = copier.room();
  std::vector<std::byte> elsewhere(kPageSize);
  std::vector<ReadPart> parts{
      {{kBlock}, room.subspan(0, kPageSize)},                           // in a file
      {{0}, room.subspan(kPageSize, 2 * kPageSize)},                    // there
      {{6 * kPageSize}, room.subspan(4 * kPageSize, 2 * kPageSize)},    // a hole in it
      {{7 * kPageSize}, elsewhere},                                     // not for the room
      {{15 * kPageSize}, room.subspan(8 * kPageSize, 2 * kPageSize)}};  // past the end
  ASSERT_TRUE(memory->read_parts(parts, 2));
  EXPECT_EQ(served.asked(), 1U);
  std::ranges::sort(parts, {}, [](const ReadPart& part) { return part.address; });
  EXPECT_EQ(text_of(parts[0], 5), "FIRST");
  EXPECT_STREQ(reinterpret_cast<const char*>(parts[0].out.data()) + kPageSize, "SECOND");
  EXPECT_STREQ(reinterpret_cast<const char*>(parts[1].out.data()) + kPageSize, "alone");
  EXPECT_EQ(parts[1].good, 2 * kPageSize);
  EXPECT_EQ(text_of(parts[2], 5), "alone");
  EXPECT_EQ(parts[3].good, kPageSize);
  EXPECT_EQ(text_of(parts[4], 6), "shared");
}

// Small parts, as of fragmented memory: whether the process has a page is asked of many at once.
TEST(ProcessMemory, OfManySmallPartsThoseAreCopiedThatAreThere) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  constexpr std::uint64_t kInBlock = kBlock / kPageSize;
  // Every third page is there; the last ones lie in the next block, and the first one comes again.
  std::vector<std::uint64_t> pages{
      0, 1, 2, 3, 6, 7, 9, 300, 301, kInBlock - 1, kInBlock + 1, kInBlock + 2, 0};
  UpperCaseCopier served;
  const Copier copier = served.copier();
  const auto memory =
      memory_of({{.range = {{0}, kSize}, .address = ram.address(), .file = {}}}, {}, &copier);
  std::vector<ReadPart> parts;
  std::uint64_t there = 0;
  for (const std::uint64_t page : pages) {
    if (page % 3 == 0) {
      std::strcpy(ram.at(page * kPageSize), fmt::format("page {}", page).c_str());
      ++there;
    }
    parts.push_back(
        {{page * kPageSize}, copier.room().subspan(parts.size() * kPageSize, kPageSize)});
  }
  ASSERT_TRUE(memory->read_parts(parts, 2));
  EXPECT_EQ(served.asked(), there);
  for (const ReadPart& part : parts) {
    const std::uint64_t page = part.address.value / kPageSize;
    EXPECT_STREQ(reinterpret_cast<const char*>(part.out.data()),
                 page % 3 == 0 ? fmt::format("PAGE {}", page).c_str() : "");
    EXPECT_EQ(part.good, kPageSize);
  }
}

// A page that the copier could not have is tried again by ourselves, which tells which one it is.
TEST(ProcessMemory, WhatCouldNotBeCopiedIsReadByOurselves) {
  Mapped ram(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  std::memset(ram.at(0), 'x', 4 * kPageSize);
  UpperCaseCopier served(ram.address() + 2 * kPageSize);
  const Copier copier = served.copier();
  const auto memory =
      memory_of({{.range = {{0}, kSize}, .address = ram.address(), .file = {}}}, {}, &copier);
  std::vector<ReadPart> parts{
      {{0}, copier.room().first(2 * kPageSize)},
      {{2 * kPageSize}, copier.room().subspan(2 * kPageSize, 2 * kPageSize)}};
  ASSERT_TRUE(memory->read_parts(parts, 1));
  EXPECT_EQ(served.asked(), 2U);
  std::ranges::sort(parts, {}, [](const ReadPart& part) { return part.address; });
  EXPECT_EQ(text_of(parts[0], 2), "XX");
  EXPECT_EQ(text_of(parts[1], 2), "xx");
}

}  // namespace
}  // namespace vmcore::sources
