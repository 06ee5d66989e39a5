// CaptureConfig: what the capture side does with a crash. Its file is /etc/vmcore-guest.conf;
// `build` puts it under the same name into the capture image, and the capture kernel's command line
// overrides it
// ("vmcore.KEY=VALUE", a list's values separated by commas).
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

namespace vmcore::guest {

// The version of the file: "version = 1". A file that tells none is of version 1. New keys raise
// it, because a key that is not known is refused, lest a typing error cost a dump. Older files are
// read as ever; a newer one is refused by all that changes a guest, and a capture kernel, which has
// no choice, goes on with the defaults (parse_config_anyhow).
inline constexpr unsigned kConfigVersion = 1;

// Where the capture image has its copy.
inline constexpr std::string_view kConfigFile = "/etc/vmcore-guest.conf";

// The virtio-serial port that leads to the host, and the vsock port of the host's end.
inline constexpr std::string_view kPortName = "org.vmcorectl.dump.0";
inline constexpr std::uint32_t kVsockPort = 30317;

// How the capture kernel ends.
enum class EndAction : std::uint8_t { reboot, poweroff, halt, shell };

// One place to save to. How `kind` reads `where` is told beside the target itself (guest/save).
struct Target {
  std::string kind;   // "port", "tcp", "file", ...: what stands before the first colon
  std::string where;  // the rest, may be empty: the kind's default
  bool operator==(const Target&) const = default;
};

// Of targets "ssh": OpenSSH's client, which `build` copies with its libraries, and what it is
// given; paths are the same in the image.
struct SshConfig {
  std::string client = "/usr/bin/ssh";
  std::string key = "/etc/vmcore-guest/ssh-key";
  std::string known_hosts = "/etc/vmcore-guest/ssh-known-hosts";
  std::string command = "vmcorectl receive -";  // that takes the stream there
  bool operator==(const SshConfig&) const = default;
};

struct CaptureConfig {
  std::vector<Target> targets = {{"port", ""}, {"vsock", ""}};  // tried in this order
  unsigned level = 31;                                          // makedumpfile's dump level
  unsigned keep = 3;                   // the newest dumps that a file system keeps; 0: all
  std::chrono::seconds deadline{600};  // until the capture kernel gives up; 0: never
  EndAction on_success = EndAction::reboot;
  EndAction on_failure = EndAction::reboot;
  // What every stream is sealed to; those over TCP must be, and those of a guest with encrypted
  // memory to its host.
  std::optional<seal::PublicKey> encrypt_to;
  // Where a key was given that cannot be understood: no stream goes out.
  bool sealed_to_nobody = false;
  // That a target needs which is reached by it; where nothing is told, it is as it is found.
  std::optional<Network> network;
  SshConfig ssh;
  std::string tag;  // of a crash on purpose (`vmcore-guest test`); told to the host with the dump
  bool operator==(const CaptureConfig&) const = default;
};

// Sets one key. Errc::not_found for a key that does not exist, Errc::invalid for a value that does
// not fit it. A list replaces the one before.
Result<> set_key(CaptureConfig& config, std::string_view key,
                 const std::vector<std::string>& values);

// The defaults, changed by the text of a file. The error names the line.
Result<CaptureConfig> parse_config(std::string_view text);
// That of a capture kernel, which goes on with what it has: the defaults in place of a text that
// cannot be understood, which is told. One that named a key is sealed to nobody.
CaptureConfig parse_config_anyhow(std::string_view text, std::vector<Remark>& remarks);
// Changes it by the "vmcore." keys of a kernel's command line; others are not looked at. What
// cannot be understood is skipped and told; where that is a key, it is sealed to nobody.
std::vector<Remark> apply_command_line(CaptureConfig& config, std::string_view command_line);

// As it is configured: "ssh:me@192.0.2.1".
std::string format_target(const Target& target);

// Whether one of the targets is of that kind.
bool has_target(const CaptureConfig& config, std::string_view kind);

// The address that the target is reached at, where that takes a network.
std::optional<IpAddress> network_address_of(const Target& target);

// The text that parse_config makes the same configuration of.
std::string format_config(const CaptureConfig& config);

}  // namespace vmcore::guest
