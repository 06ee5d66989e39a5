// SPDX-License-Identifier: GPL-2.0-or-later
// Targets: the places that a crash can be saved to, a file each. Their table, and what to touch to
// add one, is in target_kinds.h.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "guest/config/capture_config.h"
#include "guest/save/crash_report.h"
#include "guest/save/forecast.h"
#include "guest/save/say.h"
#include "guest/save/supervise.h"
#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/image/image.h"

namespace vmcore::guest::save {

// The input of every target.
struct Crash {
  const MemoryImage& image;
  const CrashReport& report;
  const config::CaptureConfig& config;
  const Say& say;
  const Heartbeat& heartbeat;  // call it at least every few seconds while there is progress
  // The target may set it. Threads that read the image call it about as often.
  std::function<void()>& on_reading;
  std::chrono::seconds listener_wait{30};  // how long to wait for a listener
  std::string_view encryption = {};  // kind of memory encryption, or empty (encrypted_memory.h)
};

struct Saved {
  std::string place;  // for messages
  convert::Outcome outcome;
};

// Saves the crash; an error if not all of it could be stored. `where` is the text after the kind.
using SaveTo = Result<Saved> (*)(const std::string& where, const Crash& crash);

// port[:NAME]: sends to the host over the virtio-serial port NAME (kPortName).
Result<Saved> save_to_port(const std::string& where, const Crash& crash);
// vsock[:PORT]: sends to the host, CID 2, over vsock (kVsockPort).
Result<Saved> save_to_vsock(const std::string& where, const Crash& crash);
// ssh:USER@ADDRESS[:PORT]: sends to a command on another machine (SshConfig).
Result<Saved> save_to_ssh(const std::string& where, const Crash& crash);
// tcp:ADDRESS:PORT: sends to another machine, always sealed.
Result<Saved> save_to_tcp(const std::string& where, const Crash& crash);
// file:DEVICE[SUBVOLUME]:/FOLDER, the brackets for btrfs: mounts the file system and saves in the
// folder. file:/FOLDER: saves in a folder that is mounted already.
Result<Saved> save_to_folder(const std::string& where, const Crash& crash);
// output:FILE: writes one dump to a file, for other capture environments.
Result<Saved> save_to_file(const std::string& where, const Crash& crash);
// raw:DEVICE: writes the stream to a block device that holds nothing else.
Result<Saved> save_to_device(const std::string& where, const Crash& crash);

// The parsers of `where` for vsock and file. tcp and ssh use config::parse_endpoint and
// config::parse_ssh_destination.
Result<std::uint32_t> parse_vsock_port(const std::string& where);
struct FilePlace {
  std::string device;          // as for find_device; empty: the mounted file system
  std::string subvolume = {};  // of btrfs, from its top: "/@rootfs"; empty: the default one
  std::string folder;          // inside the file system; begins with a slash
};
Result<FilePlace> parse_file_place(const std::string& where);
// The text that parse_file_place parses into the same place.
std::string format_file_place(const FilePlace& place);
// For raw: Errc::invalid unless it is /dev/NAME. UUID=... and LABEL=... name a file system, which
// raw would overwrite.
Result<> check_raw_name(const std::string& where);
// Whether the device may be overwritten: it begins with an earlier crash or with zeros.
// Errc::exists if it holds anything else. `fd` is open for reading.
Result<> check_is_free(int fd);

// Steps of write_dump; each may be empty.
struct DumpSteps {
  CheckRoom check_room = {};  // of a writer with this codec
  Codec codec = Codec::lzo;
  // When the pages of the kernel log and the pages that lead to it are written.
  std::function<void()> log_written = {};
};
// Writes the dump with `writer` and reports the progress. Errors of the target are Errc::io and
// Errc::no_space.
Result<convert::Outcome> write_dump(formats::DumpWriter& writer, const Crash& crash,
                                    const DumpSteps& steps = {});

// Whether a folder that has `free` bytes would have as many as wanted without its older dumps, of
// these sizes. Errc::no_space where it would not: then none of them needs to go.
Result<> check_room(std::string_view folder, std::uint64_t free,
                    std::span<const std::uint64_t> older_dumps, std::uint64_t wanted);

}  // namespace vmcore::guest::save
