// SPDX-License-Identifier: GPL-2.0-or-later
// The messages between a program and its vmcore-worker: JSON, one a packet of a SOCK_SEQPACKET
// socket, descriptors beside them. The worker has read hostile guest bytes, so what it says is
// bounded and checked as well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/image/conversion.h"
#include "src/image/image.h"
#include "src/image/info_place.h"
#include "src/image/source.h"
#include "src/report/summary.h"

namespace vmcore::sandbox {

// A packet is at most this long; remarks beyond it are dropped, with a remark that says so.
inline constexpr std::size_t kMaxPacket = 64 << 10;
// Descriptors beside one packet: a guest may have a file for each of its DIMMs and NUMA nodes.
inline constexpr std::size_t kMaxFds = 64;

// Pieces of memory in one packet, and blocks that are asked for. Guests have some ten.
inline constexpr std::size_t kMaxPieces = 512;

// Bytes of text that dmesg may write. A log buffer is at most some tens of MiB.
inline constexpr std::uint64_t kMaxOutputText = 256U << 20;
// Of the text of a kernel log that is read.
inline constexpr std::uint64_t kMaxLogText = 256U << 20;
// Of the documents of info, memory and report, which take some fifty times as much memory to be
// read.
inline constexpr std::uint64_t kMaxDocument = 16U << 20;

enum class Operation : std::uint8_t {
  convert,  // input -> a filtered dump in the output
  info,     // input -> a JSON document in the output
  dmesg,    // input -> the kernel log as text in the output
  callers,  // the same, and each line tells who wrote it
  memory,   // input -> what memory is used for, a JSON document in the output
  report,   // input -> what happened to the guest, a JSON document in the output; and the kernel
            // log as text in "log", where that came with the request
  symbols,  // the same document; behind it a zero byte, nothing, a zero byte, and the document of
            // the stack of the panic (report/panic_stack.h) or nothing
  page,     // the same, with the document of memory between the zero bytes, or why there is none
  log,      // "source": the text of a kernel log, in a file or a pipe -> its report, as above
  nothing,  // nothing is read: what is told is how the worker is confined
};

// Where a guest sees a part of one of QEMU's blocks of memory.
struct BlockPlace {
  PhysRange range;
  std::string block;         // as QEMU's map of memory names it, without a path in front
  std::uint64_t offset = 0;  // of the block, where the range begins
  bool operator==(const BlockPlace&) const = default;
};

// What is taken from a guest's own stream. Times are in milliseconds, and zero is for ever.
struct StreamTerms {
  std::uint64_t most_ram = kMaxPhysAddr;   // bytes that it may have
  std::uint64_t most_kept = kMaxPhysAddr;  // bytes of pages that are taken
  std::uint64_t wait_ms = 0;               // for it to begin
  std::uint64_t idle_ms = 0;               // of silence in it
  std::uint64_t deadline_ms = 0;           // from its begin to its end
};

// The inputs of a job, one struct for each kind. Comments name the descriptors that come beside the
// request. With those of a guest's process come "windows", and "line0", "line1" ... (read_line.h).

// "source": a dump file.
struct FileInput {};
// "source": a pipe that brings an ELF dump. "spool": a regular file for it, empty and unlinked.
struct StreamInput {};
// "source": a dump file without memory (headers and notes). The worker requests memory with Want.
struct FetchedInput {};
// The process of a guest. With Ready the worker requests a pipe that brings the beginning of an ELF
// dump; closing the pipe resumes the guest. With Locate it requests the places of the memory.
struct ProcessInput {
  bool torn = false;  // the guest runs while its memory is read
  // The worker rehearses before it sends Ready.
  bool rehearsal = false;
  // A conversion copies the pages that it keeps into "room", which both processes share
  // (copy_room.h), before it compresses them.
  bool copied = false;
};
// A guest that is read and not paused. With Locate the worker requests the places of its memory.
struct LiveInput {
  bool torn = false;  // the guest runs
};
// "source": a migration stream of QEMU, complete, in a regular file. "spool": as for a stream.
// "header": the beginning of an ELF dump of the same guest.
struct SnapshotInput {
  std::vector<BlockPlace> places = {};
};
// "source": the line on which a guest's own capture kernel sends. "spool": as for a stream.
// "log": an empty file for the kernel log. "hangup": the read end of a pipe; the line ends when the
// write end is closed. "key": the file of the key of a sealed stream (seal/key.h).
struct GuestStreamInput {
  StreamTerms terms = {};
};
using Input = std::variant<FileInput, StreamInput, FetchedInput, ProcessInput, LiveInput,
                           SnapshotInput, GuestStreamInput>;

// One job. Beside it come the descriptors of its input, and "output" if the job writes something.
struct Request {
  Operation operation = Operation::convert;
  Input input = FileInput{};
  std::uint64_t ram = 0;               // bytes that the guest has; 0 where its input tells
  Conversion how = {};                 // also of a job that only looks: its threads
  bool search_memory = true;           // scan all of memory where no note tells of the kernel
  std::optional<InfoPlace> hint = {};  // where it was found before
  std::optional<std::uint64_t> host_event_time = {};  // seconds since the epoch
  // For the dump's own note. Where there is one, the worker expects Cost after SourceRead.
  std::optional<Capture> capture = {};
  // The names of the descriptors, in their order. Worker::request() fills it in.
  std::vector<std::string> descriptors = {};
};

// The guest runs while its memory is read.
bool is_torn(const Request& request);

// From the worker.
struct Progress {
  std::uint64_t done = 0;  // pages
  std::uint64_t all = 0;
};
struct Spooling {
  std::uint64_t bytes = 0;  // of the stream, so far
};
struct SourceRead {};
// A guest's stream began: what the guest says of itself.
struct Hello {
  std::string release = {};
  std::string tag = {};
  std::uint64_t ram_bytes = 0;
  bool encrypted = false;
  bool pstore = false;  // formats/guest_stream/protocol.h
};
// All of its kernel log is in the file for it.
struct LogRead {
  std::uint64_t bytes = 0;
  std::string panic = {};  // the line that tells why it panicked, where there is one
};
// Everything is ready for the guest to stand still: answered with Have and the pipe. By the
// rehearsal, where one was made: how long that will take, and how much will be kept.
struct Ready {
  std::uint64_t pause_us = 0;
  std::uint64_t kept_pages = 0;
};
// Asks for guest memory: answered with Have and a descriptor of an ELF dump of that range.
struct Want {
  PhysRange range;
};
// Asks where the blocks of RAM lie, or all of it where none is named: answered with Located.
struct Locate {
  std::vector<PhysRange> blocks;
};
// Asks for what the first entries of the room's table tell to be copied: answered with Have,
// without a descriptor. The entries are in memory that was Located last.
struct Copy {
  std::uint64_t entries = 0;
};
// The end of a job.
struct Done {
  report::Summary summary = {};
  std::optional<InfoPlace> place = {};  // of the kernel's VMCOREINFO: a hint for the next request
};
struct Failed {
  Error error;
};
using Event = std::variant<Progress, Spooling, SourceRead, Hello, LogRead, Ready, Want, Locate,
                           Copy, Done, Failed>;

// To the worker, in answer to Want or Ready: the descriptor beside it, or why there is none. In
// answer to Copy: that it is done, or why not.
struct Have {
  std::optional<Error> error;
};

// To the worker, when the guest runs again: what reading it cost.
using Cost = CaptureCost;

// To the worker, in answer to Locate. Descriptors beside it, where there is no error: pagemap of
// the process, then the files of `pieces` in their order (image/source.h). Of `cpus` as many are
// told as fit into a packet, some hundreds.
struct Located {
  std::optional<Error> error;
  std::vector<Piece> pieces;
  std::vector<CpuState> cpus = {};
};

std::string encode(const Request& request);
std::string encode(const Event& event);
std::string encode(const Have& have);
std::string encode(const Cost& cost);
std::string encode(const Located& located);

// Errc::malformed where the packet is no such message, or asks for memory that no guest has.
Result<Request> decode_request(std::string_view packet);
Result<Event> decode_event(std::string_view packet);
Result<Have> decode_have(std::string_view packet);
Result<Cost> decode_cost(std::string_view packet);
Result<Located> decode_located(std::string_view packet);

}  // namespace vmcore::sandbox
