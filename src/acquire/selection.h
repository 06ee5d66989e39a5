// Selection: which guest, and how it is reached, as the user said it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace vmcore::acquire {

// How a domain is looked up: by whatever fits, or by one thing only.
enum class LookUp : std::uint8_t { any, id, name };

// Takes the first method of the table that fits and can be used.
inline constexpr std::string_view kAutoMethod = "auto";

// Which guest, as the user said it.
struct Selection {
  std::string method = std::string(kAutoMethod);  // that, or a name of the table
  std::string tried = {};             // auto goes on behind this one, which came to nothing
  std::filesystem::path socket = {};  // of a QMP monitor
  std::string uri = {};               // of libvirt; empty: libvirt's own default
  std::string domain = {};
  LookUp look_up = LookUp::any;
  // The URI by which whoever reads our messages reaches this libvirt (--remote); empty: `uri`.
  std::string asked_as = {};
  // Monitor commands that mark a libvirt domain as tainted may be used.
  bool allow_taint = false;
  // A running guest may be held in a way that nobody can end early (libvirt's dump into a file).
  bool allow_unbounded_pause = false;
  // A folder with room for the guest's RAM, for methods that cannot do without.
  std::filesystem::path spool_folder = {};
};

}  // namespace vmcore::acquire
