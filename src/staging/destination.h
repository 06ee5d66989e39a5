// Destination: what an output path leads to. Links are followed one by one, each from the folder
// that is open, so that what was looked at is what is written to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::staging {

struct Destination {
  enum class Kind : std::uint8_t {
    file,        // `name` in `folder`: a regular file, or nothing yet
    fifo,        // `stream` stands for it, and is not open yet: open_stream()
    descriptor,  // `stream` is one that this process was started with (/dev/stdout, /dev/fd/3)
  };
  Kind kind = Kind::file;
  std::filesystem::path path;  // the links followed
  Fd folder;
  std::string name;
  bool exists = false;  // the regular file
  Fd stream;
};

// Errc::invalid, with what it is, for what no output goes to: a folder, a device, a socket, what
// another process has open. Errc::denied for a link that somebody else put into a folder where
// anybody may: it is not followed, as fs.protected_symlinks has it (Linux 3.6, 800179c9b8a1).
Result<Destination> find_destination(const std::filesystem::path& target);

// Of a FIFO or a descriptor: what is written to. Errc::invalid where nobody reads from the FIFO:
// it is not waited for.
Result<Fd> open_stream(Destination destination);

// Whether the path leads to the standard output of this process, as /dev/stdout does.
bool is_standard_output(const std::filesystem::path& target);

}  // namespace vmcore::staging
