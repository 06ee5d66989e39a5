// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/state_file.h"

#include "guest/root/node.h"

namespace vmcore::guest::root {

Result<> make_state_folder(const Root& root, std::string_view folder) {
  return root.exists(folder) ? Result<>() : make_folder(root, folder);
}

Result<> write_state(const Root& root, std::string_view path, std::string_view text,
                     unsigned mode) {
  TRY(make_state_folder(root, parent_of(path)));
  return write_node(root, path, file_node(std::string(text), mode));
}

void remove_state(const Root& root, std::string_view path) {
  static_cast<void>(write_node(root, path, std::nullopt));
}

}  // namespace vmcore::guest::root
