// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/text_output.h"

#include <span>

#include "src/base/sys.h"

namespace vmcore::worker {

Result<> TextOutput::append(std::string_view text) {
  constexpr std::size_t kFlushAt = 64 << 10;
  if (text.size() > room_) {
    return fail(Errc::limit, "the dump file has more text than is accepted");
  }
  room_ -= text.size();
  collected_ += text;
  return collected_.size() < kFlushAt ? Result<>{} : flush();
}

Result<> TextOutput::flush() {
  TRY(sys::write_full(file_, std::as_bytes(std::span(collected_))));
  collected_.clear();
  return {};
}

}  // namespace vmcore::worker
