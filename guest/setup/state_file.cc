#include "guest/setup/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "src/base/sys.h"

namespace vmcore::guest {
namespace {

std::pair<std::string_view, std::string_view> split(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Result<> make_state_folder(const Root& root, std::string_view folder) {
  if (root.exists(folder)) {
    return {};
  }
  const auto [above, name] = split(folder);
  TRY_ASSIGN(const Fd parent, root.open(above, O_RDONLY | O_DIRECTORY));
  if (::mkdirat(parent.get(), std::string(name).c_str(), 0755) != 0 && errno != EEXIST) {
    return fail_errno(errno, folder);
  }
  return {};
}

Result<> write_state(const Root& root, std::string_view path, std::string_view text,
                     unsigned mode) {
  const std::string folder_path(split(path).first);
  const std::string name(split(path).second);
  TRY(make_state_folder(root, folder_path));
  TRY_ASSIGN(const Fd folder, root.open(folder_path, O_RDONLY | O_DIRECTORY));
  const std::string partial = name + ".new";
  const Fd file(::openat(folder.get(), partial.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!file) {
    return fail_errno(errno, path);
  }
  if (auto written = sys::write_full(file.get(), std::as_bytes(std::span(text))); !written) {
    return in_context(std::move(written).error(), path);
  }
  if (::fsync(file.get()) != 0 ||
      ::renameat(folder.get(), partial.c_str(), folder.get(), name.c_str()) != 0 ||
      ::fsync(folder.get()) != 0) {
    return fail_errno(errno, path);
  }
  return {};
}

void remove_state(const Root& root, std::string_view path) {
  const auto [folder_path, name] = split(path);
  if (const auto folder = root.open(folder_path, O_RDONLY | O_DIRECTORY)) {
    ::unlinkat(folder->get(), std::string(name).c_str(), 0);
  }
}

}  // namespace vmcore::guest
