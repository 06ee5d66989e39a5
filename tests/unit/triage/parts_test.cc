// SPDX-License-Identifier: GPL-2.0-or-later
// Run queues, sockets, and the pages and buffers that tasks wait for.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/triage/io_waits.h"
#include "src/triage/run_queue.h"
#include "src/triage/sockets.h"
#include "tests/builders/triage_guest.h"

namespace vmcore::triage {
namespace {

using testing::TriageGuest;

struct Parts {
  TriageGuest guest{4};
  Knowledge knowledge{guest.image(), guest.kernel()};

  report::RunQueue queue() {
    return RunQueueReader(knowledge).read({guest.object(TriageGuest::kQueue)});
  }
  Result<report::OpenSocket> socket() {
    return socket_of(knowledge, {guest.object(TriageGuest::kFile)});
  }
  std::optional<report::IoWait> wait(unsigned number, const std::string& function) {
    const auto task =
        kernel::read_task(guest.kernel(), *knowledge.task_layout, {guest.task(number)});
    return IoWaitFinder(knowledge).find(*task, {.frames = {{.function = function}}});
  }
};

TEST(RunQueue, ListsFairAndRealTimeTasks) {
  Parts parts;
  TriageGuest& guest = parts.guest;
  const std::uint64_t rq = guest.object(TriageGuest::kQueue);
  guest.put32(rq + 8, 2);
  guest.put32(rq + 32, 1);
  guest.queue(rq + 16, TriageGuest::kGroupNode, {1, 2});
  for (unsigned i = 0; i < 4; ++i) {
    guest.queue(rq + 40 + i * 16, TriageGuest::kRunList,
                i == 2 ? std::vector<unsigned>{3} : std::vector<unsigned>());
  }
  guest.put32(guest.task(2) + TriageGuest::kDelayed, 1);
  const report::RunQueue queue = parts.queue();
  EXPECT_EQ(queue.broken, "");
  EXPECT_EQ(queue.fair, 2U);
  EXPECT_EQ(queue.real_time, 1U);
  EXPECT_EQ(queue.deadline, 0U);
  ASSERT_EQ(queue.tasks.size(), 3U);
  EXPECT_EQ(queue.tasks[0].name.comm, "b");
  EXPECT_FALSE(queue.tasks[0].delayed);
  EXPECT_TRUE(queue.tasks[1].delayed);
  EXPECT_EQ(queue.tasks[2].name.pid, 3);
  EXPECT_EQ(queue.tasks[2].policy, "real-time");
}

TEST(RunQueue, AListThatIsBrokenSaysSo) {
  Parts parts;
  const std::uint64_t rq = parts.guest.object(TriageGuest::kQueue);
  parts.guest.queue(rq + 16, TriageGuest::kGroupNode, {1, 2});
  parts.guest.put(parts.guest.task(2) + TriageGuest::kGroupNode, 0x1234);
  EXPECT_EQ(parts.queue().tasks.size(), 2U);
  EXPECT_NE(parts.queue().broken, "");
}

TEST(RunQueue, ATaskThatIsNotQueuedIsNotListed) {
  Parts parts;
  const std::uint64_t rq = parts.guest.object(TriageGuest::kQueue);
  parts.guest.queue(rq + 16, TriageGuest::kGroupNode, {1, 2});
  parts.guest.put32(parts.guest.task(1) + TriageGuest::kOnRq, 0);
  ASSERT_EQ(parts.queue().tasks.size(), 1U);
  EXPECT_EQ(parts.queue().tasks[0].name.pid, 2);
  EXPECT_EQ(parts.queue().broken, "a list holds a task that is not queued");
}

TEST(Sockets, OfTcp) {
  Parts parts;
  parts.guest.make_socket(2, 1, 6, 1);
  const std::uint64_t sock = parts.guest.object(TriageGuest::kSock);
  parts.guest.put16(sock + 4, 80);
  parts.guest.put16(sock + 6, 0x409c);  // 40000
  parts.guest.put32(sock + 8, 0x020200c0);
  parts.guest.put32(sock + 12, 0x010200c0);
  const auto socket = parts.socket();
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_EQ(socket->family + " " + socket->type + " " + socket->protocol, "inet stream tcp");
  EXPECT_EQ(socket->state, "ESTABLISHED");
  EXPECT_EQ(socket->local, "192.0.2.1:80");
  EXPECT_EQ(socket->remote, "192.0.2.2:40000");
}

TEST(Sockets, OfUdpOverIpv6WithoutAPeer) {
  Parts parts;
  parts.guest.make_socket(10, 2, 17, 7);
  const std::uint64_t sock = parts.guest.object(TriageGuest::kSock);
  parts.guest.put16(sock + 4, 53);
  parts.guest.put(sock + 40, 1ULL << 56);
  const auto socket = parts.socket();
  ASSERT_TRUE(socket);
  EXPECT_EQ(socket->family + " " + socket->type + " " + socket->protocol, "inet6 dgram udp");
  EXPECT_EQ(socket->state, "UNCONNECTED");
  EXPECT_EQ(socket->local, "[::1]:53");
  EXPECT_EQ(socket->remote, "");
}

TEST(Sockets, OfUnixWithAPathOrAName) {
  Parts parts;
  parts.guest.make_socket(1, 1, 0, 10);
  const std::uint64_t address = parts.guest.object(TriageGuest::kUnixAddress);
  parts.guest.put(parts.guest.object(TriageGuest::kSock) + 56, address);
  parts.guest.put32(address, 2 + 6);
  parts.guest.put_text(address + 6, std::string_view("/a/b.s\0", 7));
  EXPECT_EQ(parts.socket()->local, "/a/b.s");
  EXPECT_EQ(parts.socket()->state, "LISTEN");
  parts.guest.put_text(address + 6, std::string_view("\0name!", 6));
  EXPECT_EQ(parts.socket()->local, "@name!");
  parts.guest.put32(address, 1 << 30);
  EXPECT_EQ(parts.socket()->local, "");
}

TEST(Sockets, OfAFamilyWithoutAName) {
  Parts parts;
  parts.guest.make_socket(99, 77, 5, 3);
  EXPECT_EQ(parts.socket()->family, "99");
  EXPECT_EQ(parts.socket()->type, "77");
  EXPECT_EQ(parts.socket()->protocol, "5");
  EXPECT_EQ(parts.socket()->state, "");
}

TEST(Sockets, OneThatIsNotTheFilesIsNone) {
  Parts parts;
  parts.guest.make_socket(2, 1, 6, 1);
  parts.guest.put(parts.guest.object(TriageGuest::kSocket), 0);
  EXPECT_EQ(parts.socket().error().code, Errc::malformed);
}

// The folio at kFolio is of a file: inode 12 of ext4 on vda.
void make_file_page(TriageGuest& guest) {
  guest.put(guest.object(TriageGuest::kFolio), guest.object(TriageGuest::kMapping));
  guest.put(guest.object(TriageGuest::kMapping), guest.object(TriageGuest::kInode));
  guest.put(guest.object(TriageGuest::kInode), guest.object(TriageGuest::kSuper));
  guest.put(guest.object(TriageGuest::kInode) + 8, 12);
  guest.put(guest.object(TriageGuest::kSuper), guest.object(TriageGuest::kFileSystem));
  guest.put_text(guest.object(TriageGuest::kSuper) + 8, "vda");
  guest.put(guest.object(TriageGuest::kFileSystem), guest.object(TriageGuest::kFileSystem) + 8);
  guest.put_text(guest.object(TriageGuest::kFileSystem) + 8, "ext4");
}

TEST(IoWaits, ThePageAndItsFile) {
  Parts parts;
  const std::uint64_t folio = parts.guest.object(TriageGuest::kFolio);
  make_file_page(parts.guest);
  parts.guest.make_waiter(1, "wake_page_function", folio, 0);
  const auto wait = parts.wait(1, "folio_wait_bit_common");
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->kind, "page_lock");
  EXPECT_EQ(wait->address, folio);
  EXPECT_EQ(wait->device, "vda");
  EXPECT_EQ(wait->file_system, "ext4");
  EXPECT_EQ(wait->inode, 12U);
  parts.guest.make_waiter(1, "wake_page_function", folio, 5);
  EXPECT_EQ(parts.wait(1, "")->kind, "page_writeback");
  parts.guest.make_waiter(1, "wake_page_function", folio, 9);
  EXPECT_EQ(parts.wait(1, "")->kind, "page_bit");
  parts.guest.put(folio, parts.guest.object(TriageGuest::kMapping) | 1);  // of a process
  EXPECT_FALSE(parts.wait(1, "")->inode);
}

TEST(IoWaits, ABuffer) {
  Parts parts;
  const std::uint64_t buffer = parts.guest.object(TriageGuest::kBuffer);
  parts.guest.make_waiter(1, "wake_bit_function", buffer, 2);
  parts.guest.put(buffer + 8, 1234);
  EXPECT_FALSE(parts.wait(1, "out_of_line_wait_on_bit"));  // a bit of what, nobody knows
  const auto wait = parts.wait(1, "__wait_on_buffer");
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->kind, "buffer");
  EXPECT_EQ(wait->address, buffer);
  EXPECT_EQ(wait->block, 1234U);
}

// __wait_on_buffer() jumps to what it calls last, so no frame tells of it.
TEST(IoWaits, ABufferOfADisk) {
  Parts parts;
  TriageGuest& guest = parts.guest;
  const std::uint64_t buffer = guest.object(TriageGuest::kBuffer), device = buffer + 24;
  guest.make_waiter(1, "wake_bit_function", buffer, 2);
  EXPECT_FALSE(parts.wait(1, "bit_wait_io"));  // leads to no disk
  guest.put(buffer + 16, device);
  guest.put(device, device + 8);
  guest.put_text(device + 8, "vda");
  const auto wait = parts.wait(1, "bit_wait_io");
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->kind, "buffer");
  EXPECT_EQ(wait->device, "vda");
  EXPECT_FALSE(parts.wait(1, "bit_wait"));
  guest.make_waiter(1, "wake_bit_function", buffer, 5);  // another bit
  EXPECT_FALSE(parts.wait(1, "bit_wait_io"));
}

TEST(IoWaits, AWaiterThatIsInNoListIsNone) {
  Parts parts;
  parts.guest.make_waiter(1, "wake_page_function", parts.guest.object(TriageGuest::kFolio), 0);
  parts.guest.put(parts.guest.object(TriageGuest::kStackAt) + 136, 0);  // the list's prev
  EXPECT_FALSE(parts.wait(1, ""));
}

TEST(IoWaits, OnlyTheTaskItselfTells) {
  Parts parts;
  EXPECT_FALSE(parts.wait(1, ""));
  parts.guest.put32(parts.guest.task(1) + TriageGuest::kFlags, 1 << 3);
  const auto wait = parts.wait(1, "");
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->kind, "io");
  EXPECT_FALSE(wait->address);
  parts.guest.put32(parts.guest.task(1) + TriageGuest::kFlags, ~8U);
  EXPECT_FALSE(parts.wait(1, ""));
}

}  // namespace
}  // namespace vmcore::triage
