// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/input.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/builders/dump_builder.h"

namespace vmcore::worker {
namespace {

// A worker's input that is a stream of these bytes.
Result<Input> open_stream_of(std::string_view bytes) {
  auto ends = sandbox::Channel::make_pair();
  EXPECT_TRUE(ends);
  int pipe[2];
  EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  Fd reading(pipe[0]);
  Fd writing(pipe[1]);
  EXPECT_EQ(::write(writing.get(), bytes.data(), bytes.size()), std::ssize(bytes));
  writing.reset();
  std::vector<Fd> fds;
  fds.push_back(std::move(reading));
  fds.push_back(builders::memory_file());
  auto descriptors = sandbox::Descriptors::make({"source", "spool"}, std::move(fds));
  EXPECT_TRUE(descriptors);
  const sandbox::Request request{.input = sandbox::StreamInput{}};
  return open_input(ends->second, request, {}, {}, *descriptors);
}

// Whoever began the dump knows why it ended. That a guest cannot be dumped (Errc::guest_state)
// would be no reason to try the next method.
TEST(OpenInput, AStreamThatEndsBeforeItsFirstByteSaysNothingOfTheGuest) {
  for (const std::string_view bytes : {"", "\x7f",
                                       "\x7f"
                                       "ELF"}) {
    const auto input = open_stream_of(bytes);
    ASSERT_FALSE(input);
    EXPECT_NE(input.error().code, Errc::guest_state) << input.error().message;
  }
}

// A dump of another machine is the guest's fault.
TEST(OpenInput, AStreamOfAnotherMachineIsOfAGuestThatCannotBeRead) {
  std::string header(64, '\0');
  header.replace(0, 7,
                 std::string("\x7f"
                             "ELF\2\1\1",
                             7));
  header[16] = 4;          // ET_CORE
  header[18] = char(183);  // EM_AARCH64
  header[20] = 1;
  header[52] = 64;  // its own size, then that of a program header
  header[54] = 56;
  const auto input = open_stream_of(header);
  ASSERT_FALSE(input);
  EXPECT_EQ(input.error().code, Errc::guest_state) << input.error().message;
}

}  // namespace
}  // namespace vmcore::worker
