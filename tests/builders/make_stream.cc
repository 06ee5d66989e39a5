// SPDX-License-Identifier: GPL-2.0-or-later
// make_stream DUMP OUT [LEVEL [TAG [KEY]]]: writes what the capture kernel of the guest in that
// dump would send to its host; sealed to that public key.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "src/base/fd.h"
#include "src/convert/convert.h"
#include "src/formats/dump_format.h"
#include "src/formats/guest_stream/sealed_stream.h"
#include "src/formats/guest_stream/writer.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/printk_log.h"

namespace vmcore {
namespace {

class Silent : public convert::Observer {
 public:
  void progress(std::uint64_t, std::uint64_t) override {}
  void source_read() override {}
};

Result<std::string> log_of(const MemoryImage& image, std::string& release) {
  TRY_ASSIGN(const kernel::FoundKernels found,
             kernel::find_kernels(image, kernel::Search::registers));
  std::string text;
  if (!found.kernels.empty()) {
    release = found.kernels.front().info().release();
    TRY(kernel::read_printk_log(found.kernels.front(), [&](const kernel::LogRecord& record) {
      text += kernel::format_log_record(record);
      return true;
    }));
  }
  return text;
}

Result<> make(const char* dump, const char* out, unsigned level, const char* tag, const char* key) {
  TRY_ASSIGN(const MemoryImage image, formats::open_dump(Fd(::open(dump, O_RDONLY | O_CLOEXEC))));
  const Fd file(::open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  formats::SendFrame send = formats::send_to(file.get());
  if (*key != '\0') {
    TRY_ASSIGN(const seal::PublicKey to, seal::parse_public_key(key));
    TRY_ASSIGN(send, formats::sealed_to(to, std::move(send)));
  }
  formats::GuestStreamWriter writer(std::move(send), formats::random_stream_id());
  formats::GuestHello hello{.tag = tag, .level = level, .ram = ram_ranges(*image.memory)};
  TRY_ASSIGN(const std::string log, log_of(image, hello.release));
  TRY(writer.hello(hello));
  TRY(writer.log(log));
  Silent silent;
  TRY(convert::convert(image, writer, {.how = {.level = level}}, silent, {}));
  return {};
}

}  // namespace
}  // namespace vmcore

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: make_stream DUMP OUT [LEVEL [TAG [KEY]]]\n", stderr);
    return 2;
  }
  const unsigned level = argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 31;
  const auto made =
      vmcore::make(argv[1], argv[2], level, argc > 4 ? argv[4] : "", argc > 5 ? argv[5] : "");
  if (!made) {
    std::fprintf(stderr, "make_stream: %s\n", made.error().message.c_str());
    return 1;
  }
  return 0;
}
