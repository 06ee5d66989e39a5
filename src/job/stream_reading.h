// SPDX-License-Identifier: GPL-2.0-or-later
// StreamReading: a line that may bring a guest's stream, the files for it, and the worker that
// reads it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/job/output.h"
#include "src/job/receive_job.h"
#include "src/sandbox/worker.h"
#include "src/staging/staged_file.h"

namespace vmcore::job {

struct StreamFiles {
  std::optional<Output> output;  // none where nothing is to be written
  std::optional<staging::StagedFile> log;
  Fd spool;
};
// `name` is the guest's, for outputs that are named after it.
Result<StreamFiles> open_stream_files(const ReceiveOptions& options, const std::string& name);

struct ReadLine {
  std::string name;   // the guest's, or what stands for it
  Fd line;            // brings the stream
  std::string crash;  // who says that the guest crashed: convert/provenance.h
  std::optional<std::uint64_t> memory = {};  // bytes that the guest has at most
  std::chrono::milliseconds patience{0};     // for the stream to begin; zero: for ever
};

struct StreamReading {
  std::string name;
  std::string crash;
  Fd line;  // closed, the guest sees that the host has all
  StreamFiles files;
  Fd hangup;  // closed, the line ends in the worker
  sandbox::Worker worker;
};
// `key` is the file of the key that the stream is sealed to, or -1.
Result<StreamReading> begin_reading(const ReceiveOptions& options, ReadLine line, StreamFiles files,
                                    int key);

}  // namespace vmcore::job
