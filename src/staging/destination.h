// SPDX-License-Identifier: GPL-2.0-or-later
// Destination: the file that an output path leads to. Links are followed one by one, each from the
// folder that is open, so that the file that was checked is the file that is written.
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

// Errc::invalid, with its kind, for a path to which no output is written: a folder, a device, a
// socket, a descriptor of another process. Errc::denied for a link that another user made in a
// folder where everybody may write: it is not followed, as with fs.protected_symlinks (Linux 3.6,
// 800179c9b8a1).
Result<Destination> find_destination(const std::filesystem::path& target);

// Of a FIFO or a descriptor: the descriptor to write to. Errc::invalid if the FIFO has no reader:
// nothing waits for one.
Result<Fd> open_stream(Destination destination);

// Whether the path leads to the standard output of this process, as /dev/stdout does.
bool is_standard_output(const std::filesystem::path& target);

}  // namespace vmcore::staging
