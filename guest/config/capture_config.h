// SPDX-License-Identifier: GPL-2.0-or-later
// CaptureConfig: what the capture kernel does with a crash. The file is /etc/vmcore-guest.conf.
// `build` copies it into the capture image under the same name. The command line of the capture
// kernel overrides it ("vmcore.KEY=VALUE"; the values of a list are separated by commas).
//
//   # a comment
//   target = port
//   target = file:UUID=1b4e28ba-2fa1-11d2-883f-0016d3cca427:/var/crash
//   deadline = 600
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/config/network.h"
#include "src/base/result.h"
#include "src/seal/key.h"

namespace vmcore::guest::config {

// The version of the file: "version = 1". A file that tells none is of version 1. New keys raise
// it, because a key that is not known is refused, lest a typing error cost a dump. Older files are
// read as ever; a newer one is refused by all that changes a guest, and a capture kernel, which has
// no choice, goes on with the defaults (parse_config_anyhow).
inline constexpr unsigned kConfigVersion = 1;

// The configuration file, in the guest and in the capture image.
inline constexpr std::string_view kConfigFile = "/etc/vmcore-guest.conf";

// The virtio-serial port to the host, and the vsock port on which the host listens.
inline constexpr std::string_view kPortName = "org.vmcorectl.dump.0";
inline constexpr std::uint32_t kVsockPort = 30317;

// What the capture kernel does at the end.
enum class EndAction : std::uint8_t { reboot, poweroff, halt, shell };

// How a file target names its files (guest/save/dump_files.h).
enum class Layout : std::uint8_t { folders, flat };

// One place to save to. The kind defines the syntax of `where` (guest/save/target_kinds.h).
struct Target {
  std::string kind;   // the text before the first colon: "port", "tcp", "file", ...
  std::string where;  // the text after it; empty: the default of the kind
  bool operator==(const Target&) const = default;
};

// For targets "ssh": the OpenSSH client, which `build` copies with its libraries, and its files.
// Paths are the same in the guest and in the image.
struct SshConfig {
  std::string client = "/usr/bin/ssh";
  std::string key = "/etc/vmcore-guest/ssh-key";
  std::string known_hosts = "/etc/vmcore-guest/ssh-known-hosts";
  std::string command = "vmcorectl receive -";  // reads the stream on the other machine
  bool operator==(const SshConfig&) const = default;
};

struct CaptureConfig {
  std::vector<Target> targets = {{"port", ""}, {"vsock", ""}};  // tried in this order
  unsigned level = 31;                                          // makedumpfile's dump level
  unsigned keep = 3;                   // how many dumps a file system keeps; 0: all
  Layout layout = Layout::folders;     // of file targets
  std::chrono::seconds deadline{600};  // until the capture kernel gives up; 0: never
  EndAction on_success = EndAction::reboot;
  std::chrono::seconds reboot_after{0};  // with on_success reboot: "reboot:30"
  EndAction on_failure = EndAction::reboot;
  // The key that every stream is sealed to. Required for streams over TCP, and for streams to the
  // host of a guest with encrypted memory.
  std::optional<seal::PublicKey> encrypt_to;
  // A key was configured, but it could not be parsed: no stream is sent.
  bool sealed_to_nobody = false;
  // For targets on the network; without a value, `build` finds it (guest/image/find_network.h).
  std::optional<Network> network;
  SshConfig ssh;
  std::string tag;  // of `vmcore-guest test`; sent to the host with the dump
  bool operator==(const CaptureConfig&) const = default;
};

// Sets one key. Errc::not_found for an unknown key, Errc::invalid for a value that does not fit. A
// list replaces the previous list.
Result<> set_key(CaptureConfig& config, std::string_view key,
                 const std::vector<std::string>& values);

// Parses a configuration file; keys that are not in the text keep their defaults. An error names
// the line.
Result<CaptureConfig> parse_config(std::string_view text);
// The same in a capture kernel, which must continue: if the text cannot be parsed, returns the
// defaults and adds a Remark. If the text names a key to seal to, the result has sealed_to_nobody
// set.
CaptureConfig parse_config_anyhow(std::string_view text, std::vector<Remark>& remarks);
// Applies the words "vmcore.KEY=VALUE" of a kernel command line and ignores all other words.
// Returns a Remark for each word that cannot be parsed; if such a word is a key to seal to, sets
// sealed_to_nobody.
std::vector<Remark> apply_command_line(CaptureConfig& config, std::string_view command_line);

// The text of a target in the configuration: "ssh:me@192.0.2.1".
std::string format_target(const Target& target);

// Whether one of the targets is of that kind.
bool has_target(const CaptureConfig& config, std::string_view kind);

// The text from which parse_config makes the same configuration.
std::string format_config(const CaptureConfig& config);

}  // namespace vmcore::guest::config
