// SPDX-License-Identifier: GPL-2.0-or-later
// The size of a dump before its first page is written: by the plan, and by how much the codec saves
// on some of its pages.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "src/base/result.h"
#include "src/formats/codec.h"
#include "src/formats/dump_writer.h"
#include "src/image/memory.h"

namespace vmcore::guest::save {

// Is called with the bytes that the dump will probably need at most. An error ends the dump with
// it.
using CheckRoom = std::function<Result<>(std::uint64_t bytes)>;

// Passes everything on to `writer`, and calls `check` when the first window is planned: the header
// is written then, and no page. `codec` is that of `writer`. All are borrowed.
std::unique_ptr<formats::DumpWriter> forecasting(formats::DumpWriter& writer, Codec codec,
                                                 const PhysicalMemory& memory,
                                                 const CheckRoom& check);

}  // namespace vmcore::guest::save
