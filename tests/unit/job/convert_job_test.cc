// SPDX-License-Identifier: GPL-2.0-or-later
// What a conversion refuses before a worker is started, and how its outcome is judged.
#include "src/job/convert_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "src/job/output.h"
#include "src/job/run_worker.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ConvertJob : public ::testing::Test {
 protected:
  ConvertJob() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    folder_ = ::mkdtemp(folder);
    std::ofstream(folder_ / "in") << "something";
  }
  ~ConvertJob() override { fs::remove_all(folder_); }

  Error refused(const fs::path& in, const fs::path& out) {
    const auto result = convert_file(folder_ / in, folder_ / out, {}, {}, -1);
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }

  fs::path folder_;
};

TEST_F(ConvertJob, TheSameFileUnderAnyName) {
  fs::create_hard_link(folder_ / "in", folder_ / "hard");
  fs::create_symlink("in", folder_ / "soft");
  for (const char* out : {"in", "hard", "soft", "./in"}) {
    const Error error = refused("in", out);
    EXPECT_EQ(error.code, Errc::invalid);
    EXPECT_THAT(error.message, HasSubstr("same file"));
  }
}

TEST_F(ConvertJob, InputsThatAreNoFiles) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(refused("fifo", "out").message, HasSubstr("save the dump into a file first"));
  EXPECT_THAT(refused(".", "out").message, HasSubstr("is a folder"));
  EXPECT_EQ(refused("missing", "out").code, Errc::not_found);
}

DumpResult result_of(unsigned asked, unsigned reached, bool incomplete) {
  DumpResult result;
  result.summary.level_asked = asked;
  result.summary.level_reached = reached;
  result.summary.incomplete = incomplete;
  result.summary.remarks = {{Errc::malformed, "free pages are kept"}};
  return result;
}

TEST(CheckStrict, RefusesWhatIsNotAsAsked) {
  const DumpOptions strict{.strict = true};
  EXPECT_TRUE(check_strict(strict, result_of(31, 31, false)));
  EXPECT_TRUE(check_strict(strict, result_of(8, 31, false)));
  EXPECT_TRUE(check_strict({}, result_of(31, 1, true)));
  const auto less = check_strict(strict, result_of(31, 15, false));
  ASSERT_FALSE(less);
  EXPECT_THAT(less.error().message, HasSubstr("level 15 was reached"));
  EXPECT_THAT(less.error().message, HasSubstr("free pages are kept"));
  const auto incomplete = check_strict(strict, result_of(31, 31, true));
  ASSERT_FALSE(incomplete);
  EXPECT_THAT(incomplete.error().message, HasSubstr("pages are missing"));
}

}  // namespace
}  // namespace vmcore::job
