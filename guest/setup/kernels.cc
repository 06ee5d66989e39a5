#include "guest/setup/kernels.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "src/base/little_endian.h"
#include "src/base/sys.h"

namespace vmcore::guest {
namespace {

constexpr const char* kModules = "/lib/modules";

std::string module_name(std::string_view path) {
  std::string name(path.substr(path.rfind('/') + 1));
  name = name.substr(0, name.find(".ko"));
  std::ranges::replace(name, '-', '_');
  return name;
}

// By modules.dep: "kernel/drivers/x.ko.xz: kernel/y.ko.xz".
std::set<std::string> modules_of(const Tree& tree, const std::string& release) {
  std::set<std::string> modules;
  const auto text = tree.root().read(fmt::format("{}/{}/modules.dep", kModules, release));
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    modules.insert(module_name(line.substr(0, line.find(':'))));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return modules;
}

// The boot protocol's init_size: what the kernel needs to unpack and start (2.10 and later;
// Documentation/arch/x86/boot.rst). 0 of what is no such kernel.
Result<std::uint64_t> init_size(const Root& root, const std::string& path) {
  constexpr std::uint32_t kMagic = 0x53726448;  // "HdrS"
  TRY_ASSIGN(const Fd fd, root.open(path, O_RDONLY));
  std::array<std::byte, 0x264> header{};
  TRY_ASSIGN(const std::size_t length, sys::pread_full(fd.get(), header, 0));
  const auto bytes = std::span<const std::byte>(header).first(length);
  const auto magic = load<ul32>(bytes, 0x202);
  const auto version = load<ul16>(bytes, 0x206);
  const auto size = load<ul32>(bytes, 0x260);
  const bool known = magic && *magic == kMagic && version && *version >= 0x20a && size;
  return known ? std::uint64_t{*size} : 0;
}

}  // namespace

std::vector<std::string> kernel_releases(const Tree& tree) {
  std::vector<std::string> releases = tree.names(kModules);
  std::erase_if(releases, [](const std::string& name) {
    return name.empty() || name.front() < '0' || name.front() > '9';
  });
  return releases;
}

bool is_at_least(std::string_view release, unsigned major, unsigned minor) {
  unsigned has_major = 0;
  unsigned has_minor = 0;
  const char* const end = release.data() + release.size();
  const auto first = std::from_chars(release.data(), end, has_major);
  if (first.ec != std::errc()) {
    return false;
  }
  if (first.ptr != end && *first.ptr == '.') {
    std::from_chars(first.ptr + 1, end, has_minor);
  }
  return has_major > major || (has_major == major && has_minor >= minor);
}

std::vector<std::string> common_modules(const Tree& tree, const std::vector<std::string>& names) {
  std::vector<std::string> common = names;
  const std::vector<std::string> releases = kernel_releases(tree);
  for (const std::string& release : releases) {
    const std::set<std::string> modules = modules_of(tree, release);
    std::erase_if(common,
                  [&](const std::string& name) { return !modules.contains(module_name(name)); });
  }
  return releases.empty() ? std::vector<std::string>() : common;
}

Result<unsigned> reservation_size(const Tree& tree) {
  constexpr std::uint64_t kMiB = 1U << 20;
  constexpr std::uint64_t kBeside = 56 * kMiB;  // measured: user space, its modules, and room
  constexpr std::uint64_t kStep = 16 * kMiB;
  constexpr unsigned kUnknown = 128;
  std::vector<std::string> images;
  for (const std::string& name : tree.names("/boot")) {
    if (name.starts_with("vmlinuz")) {
      images.push_back("/boot/" + name);
    }
  }
  for (const std::string& release : kernel_releases(tree)) {
    const std::string image = fmt::format("{}/{}/vmlinuz", kModules, release);
    if (tree.root().exists(image)) {
      images.push_back(image);
    }
  }
  std::uint64_t largest = 0;
  for (const std::string& image : images) {
    const auto size = init_size(tree.root(), image);
    if (!size && size.error().code != Errc::not_found) {  // else a link that leads nowhere
      return tl::unexpected(size.error());
    }
    largest = std::max(largest, size.value_or(0));
  }
  return largest == 0
             ? kUnknown
             : static_cast<unsigned>((largest + kBeside + kStep - 1) / kStep * kStep / kMiB);
}

bool is_reservation(std::string_view text) {
  return !text.empty() && text.front() >= '0' && text.front() <= '9' &&
         text.find_first_not_of("0123456789KMGTkmgtxabcdefhilow,:@+-") == std::string_view::npos;
}

}  // namespace vmcore::guest
