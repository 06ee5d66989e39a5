// SPDX-License-Identifier: GPL-2.0-or-later
// Debug files and archives come from anywhere. They are parsed in a child process that has given up
// all rights (src/sandbox/confine.h), with little memory and time. It can read the file that it was
// given, write to the file that the parent names, and answer the parent.
//
// The calling process has no other threads.
#pragma once

#include <functional>
#include <string>

#include "src/base/result.h"
#include "src/debuginfo/archive.h"
#include "src/debuginfo/code_lines.h"
#include "src/debuginfo/debug_file.h"

namespace vmcore::debuginfo {

// inspect() in such a child.
Result<DebugFile> inspect_confined(int fd);

// walk_archive() in such a child. `choose` and `taken` are called in this process; what is to be
// taken, the child writes.
Result<> walk_archive_confined(int fd,
                               const std::function<Result<Choice>(const std::string& path)>& choose,
                               const std::function<Result<>()>& taken);

// look_up() in such a child.
Result<std::vector<CodeFacts>> look_up_confined(const CodeFile& file,
                                                std::span<const CodeAddress> addresses,
                                                const report::PanicStack& stack = {});

// A DebugFile as one message, and back. Errc::malformed where the text is no such message.
std::string encode(const DebugFile& file);
Result<DebugFile> decode(std::string_view text);
// The same of CodeFacts.
std::string encode(const CodeFacts& facts);
Result<CodeFacts> decode_facts(std::string_view text);

}  // namespace vmcore::debuginfo
