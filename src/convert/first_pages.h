// SPDX-License-Identifier: GPL-2.0-or-later
// Which pages are written before all others: with them, a dump that is cut off anywhere behind them
// shows its kernel and its log. Headers, notes and the window's bitmaps precede its first page.
// Then come `log`, `kernel`, and the rest. A guest that waits until its pages are copied waits for
// this search only where there is no room for all of the copy.
#pragma once

#include <vector>

#include "src/image/image.h"
#include "src/image/page_set.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

struct FirstPages {
  PageSet log;     // that lead from the notes to the kernel, through its log and its mem_section
  PageSet kernel;  // of the kernel's own image
};

// `found` are the kernels that were found in the image, and `notes` the notes of the dump. Finds
// the kernels once more, as a reader of the dump will, and records which pages that takes. Pages of
// `only`, which may be null, are read from there.
FirstPages first_pages(const MemoryImage& image, const kernel::FoundKernels& found,
                       const std::vector<Note>& notes, const PageSet* only = nullptr);

}  // namespace vmcore::convert
