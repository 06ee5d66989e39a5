// Targets: the places that a crash can be saved to, a file each and a table of them (target.cc).
//
// To add one: target_KIND.cc with a function like those below, a row in kTargets, a test, a section
// in docs/man/vmcore-guest.8. What it needs of the kernel: a row in guest/image/needed_modules.cc.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "guest/config/capture_config.h"
#include "guest/save/crash_report.h"
#include "guest/save/say.h"
#include "guest/save/supervise.h"
#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/image/image.h"

namespace vmcore::guest {

// What every target is given.
struct Crash {
  const MemoryImage& image;
  const CrashReport& report;
  const CaptureConfig& config;
  const Say& say;
  const Beat& beat;  // called at least every few seconds while something moves
  // The target's own, called as often while the image is read, by whichever thread reads.
  std::function<void()>& on_reading;
  std::chrono::seconds listener_wait{30};  // for somebody who takes what is sent
  std::string_view encryption = {};  // of the guest's memory, against its host (encrypted_memory.h)
};

struct Saved {
  std::string place;  // for people
  convert::Outcome outcome;
};

// Saves the crash, or tells why it is not there as a whole. `where` is what stands behind the kind.
using SaveTo = Result<Saved> (*)(const std::string& where, const Crash& crash);

// The kind's row of kTargets; null where there is none.
struct TargetKind {
  std::string_view kind;
  SaveTo save;
  Result<> (*check)(const std::string& where);  // whether `where` is one that it understands
};
const TargetKind* find_target(std::string_view kind);

// port[:NAME]: the host's end of a virtio-serial port (kPortName), by its name.
Result<Saved> save_to_port(const std::string& where, const Crash& crash);
// vsock[:PORT]: the host, at CID 2 (kVsockPort).
Result<Saved> save_to_vsock(const std::string& where, const Crash& crash);
// ssh:USER@ADDRESS[:PORT]: a command on another machine (SshConfig).
Result<Saved> save_to_ssh(const std::string& where, const Crash& crash);
// tcp:ADDRESS:PORT: another machine, which gets what is sealed to a key.
Result<Saved> save_to_tcp(const std::string& where, const Crash& crash);
// file:DEVICE[SUBVOLUME]:/FOLDER, the brackets of btrfs: a file system that is mounted for it.
// file:/FOLDER: one that is mounted.
Result<Saved> save_to_folder(const std::string& where, const Crash& crash);
// output:FILE: one dump and nothing else; for other capture environments.
Result<Saved> save_to_file(const std::string& where, const Crash& crash);
// raw:DEVICE: the guest's stream on a block device that holds nothing else.
Result<Saved> save_to_device(const std::string& where, const Crash& crash);

// What vsock and file make of `where`; tcp and ssh take parse_endpoint and parse_ssh_destination.
Result<std::uint32_t> parse_vsock_port(const std::string& where);
struct FilePlace {
  std::string device;          // as find_device takes it; empty: what is mounted
  std::string subvolume = {};  // of btrfs, from its top: "/@rootfs"; empty: its default
  std::string folder;          // in there; begins with a slash
};
Result<FilePlace> parse_file_place(const std::string& where);
// What that makes the same place of.
std::string format_file_place(const FilePlace& place);
// Of raw: Errc::invalid where it is not /dev/NAME. UUID=... and LABEL=... name a file system.
Result<> check_raw_name(const std::string& where);
// Whether what is open for reading may be written over: it begins with an earlier crash, or holds
// nothing that is known. Errc::exists where it does.
Result<> check_is_free(int fd);

// Writes the dump with `writer`; says how it gets on. `log_written`, which may be empty, is called
// when what leads to the kernel and its log is out. Errors of the target are Errc::io and
// Errc::no_space.
Result<convert::Outcome> write_dump(formats::DumpWriter& writer, const Crash& crash,
                                    const std::function<void()>& log_written = {});

// Bytes that must be free before a dump is begun. A filtered, compressed dump of an idle guest
// takes about a thirtieth of its memory; one that turns out larger is cut off where the room ends.
std::uint64_t room_wanted(const MemoryImage& image);
// Whether a folder that has `free` bytes would have as many as wanted without its older dumps, of
// these sizes. Errc::no_space where it would not: then none of them needs to go.
Result<> check_room(std::string_view folder, std::uint64_t free,
                    std::span<const std::uint64_t> older_dumps, std::uint64_t wanted);

}  // namespace vmcore::guest
