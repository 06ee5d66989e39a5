// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/unified_image.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <vector>

#include "src/base/whole_file.h"
#include "tests/unit/guest/folder.h"
#include "tests/unit/guest/unified.h"

namespace vmcore::guest::kexec {
namespace {

std::optional<FileRange> find_in(const std::string& text) {
  // Of its own, so that a sanitizer sees what is read behind it.
  const auto bytes = std::as_bytes(std::span(text));
  return find_linux(std::vector<std::byte>(bytes.begin(), bytes.end()));
}

TEST(UnifiedImage, TheKernelIsFoundWithoutItsPadding) {
  EXPECT_EQ(find_in(unified_image("kernel")), (FileRange{kUnifiedLinux, 6}));
}

TEST(UnifiedImage, AnEndAnywhereIsNoCrash) {
  const std::string whole = unified_image("kernel");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(find_in(whole.substr(0, size)).has_value(), size >= kUnifiedSections + 80) << size;
  }
}

TEST(UnifiedImage, AnyOtherByteInItsHeadersIsNoCrash) {
  const std::string whole = unified_image("kernel");
  for (std::size_t at = 0; at < kUnifiedLinux; ++at) {
    for (const char value : {'\0', '\x7f', '\xff'}) {
      std::string other = whole;
      other[at] = value;
      find_in(other);
    }
  }
  std::string far = whole;
  far.replace(0x3c, 4, "\xff\xff\xff\xff");
  EXPECT_FALSE(find_in(far));
  EXPECT_FALSE(find_in(std::string("\x7f") + whole.substr(1)));
}

TEST(UnifiedImage, ItsKernelIsOpenedAsAFileThatNobodyWrites) {
  const Folder folder;
  const std::string linux(3'000'000, 'k');
  folder.write("/uki.efi", unified_image(linux));
  folder.write("/vmlinuz", "MZ, but no more");
  const auto kernel = open_kernel(folder.path() / "uki.efi");
  ASSERT_TRUE(kernel) << kernel.error().message;
  EXPECT_EQ(read_all(kernel->get(), "kernel"), linux);
  EXPECT_EQ(::fcntl(kernel->get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_EQ(read_all(open_kernel(folder.path() / "vmlinuz")->get(), ""), "MZ, but no more");
  EXPECT_EQ(open_kernel(folder.path() / "none").error().code, Errc::not_found);
}

TEST(UnifiedImage, OneThatIsCutShortIsTold) {
  const Folder folder;
  folder.write("/uki.efi", unified_image(std::string(5000, 'k')).substr(0, kUnifiedLinux + 4000));
  const auto kernel = open_kernel(folder.path() / "uki.efi");
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, Errc::truncated);
  std::string huge = unified_image("");
  huge.replace(kUnifiedSections + 48, 4, "\xff\xff\xff\xff");
  huge.replace(kUnifiedSections + 56, 4, "\xff\xff\xff\xff");
  folder.write("/huge.efi", huge);
  EXPECT_EQ(open_kernel(folder.path() / "huge.efi").error().code, Errc::limit);
}

}  // namespace
}  // namespace vmcore::guest::kexec
