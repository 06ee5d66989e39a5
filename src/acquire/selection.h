// SPDX-License-Identifier: GPL-2.0-or-later
// Selection: which guest, and how to reach it, as the user gave it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace vmcore::qmp {
class Client;
}

namespace vmcore::acquire {

// How to look up a domain: by anything that fits, or by one kind of name only.
enum class LookUp : std::uint8_t { any, id, name };

// A way to a guest's memory (method.h).
enum class Method : std::uint8_t { direct, qmp, libvirt, snapshot };

// The guest that the user named.
struct Selection {
  // Nothing: the first method of the table that fits and works, of those behind `tried`, which has
  // failed.
  std::optional<Method> method = {};
  std::optional<Method> tried = {};
  std::filesystem::path socket = {};  // of a QMP monitor
  // A connection to that monitor that was lent (qmp/monitor.h); null: we connect to it ourselves.
  std::shared_ptr<qmp::Client> monitor = {};
  std::string uri = {};  // of libvirt; empty: libvirt's own default
  std::string domain = {};
  LookUp look_up = LookUp::any;
  // The URI by which the reader of our messages reaches this libvirt (--remote); empty: `uri`.
  std::string asked_as = {};
  // Monitor commands that mark a libvirt domain as tainted may be used.
  bool allow_taint = false;
  // A running guest may be paused in a way that cannot be ended early (libvirt's dump into a file),
  // or hang with a disk that does not answer (a snapshot's stream).
  bool allow_unbounded_pause = false;
  // A folder with room for the guest's RAM, for methods that need it.
  std::filesystem::path spool_folder = {};
  // Bytes of memory that a snapshot may take for its stream, what it makes the guest grow included.
  std::uint64_t spool_memory = 0;
};

}  // namespace vmcore::acquire
