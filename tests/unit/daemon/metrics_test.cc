// SPDX-License-Identifier: GPL-2.0-or-later
// Metrics: reads its own file again; a file of another writer does no harm.
#include "src/daemon/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "src/base/whole_file.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

Metrics some() {
  Metrics metrics;
  metrics.count_crash("panic", "a\"b\\c\n{d} 7");
  metrics.count_crash("panic", "a\"b\\c\n{d} 7");
  metrics.count_crash("hang", "");
  metrics.count_dump(DumpOutcome::kept, 1'000'000);
  metrics.count_dump(DumpOutcome::lost, 0);
  metrics.count_hook(true);
  metrics.took(Took::to_flash, 300ms);
  metrics.took(Took::to_flash, 2h);
  metrics.took(Took::pause, 12'345us);
  metrics.set_store(7, 8);
  metrics.set_armed(9);
  return metrics;
}

// But for the gauges, which nobody can know before the service has looked.
std::string counters(const Metrics& metrics) {
  const std::string text = metrics.text();
  return text.substr(0, text.find("# HELP vmcored_store_bytes"));
}

TEST(MetricsText, WhatIsCounted) {
  const std::string text = some().text();
  EXPECT_THAT(text, HasSubstr("vmcored_crashes_total{reason=\"panic\","
                              "signature=\"a\\\"b\\\\c\\\\x0a{d} 7\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_crashes_total{reason=\"hang\",signature=\"none\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_dumps_total{result=\"kept\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_dumps_total{result=\"left-out\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_dump_bytes_total 1000000\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_hook_runs_total{result=\"done\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_flash_report_seconds_bucket{le=\"0.25\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_flash_report_seconds_bucket{le=\"0.5\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_flash_report_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_flash_report_seconds_sum 7200.300000\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_flash_report_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_store_bytes 7\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_store_crashes 8\n"));
  EXPECT_THAT(text, HasSubstr("vmcored_guests_armed 9\n"));
}

// The grammar of the format; promtool, where it is installed, is asked by a test of its own.
TEST(MetricsText, EachLineIsOne) {
  const std::regex line(
      R"re((# (HELP|TYPE) [a-z_]+ .+)|([a-z_]+(\{([a-z]+="([^"\\]|\\["\\])*",?)+\})? [0-9.]+))re");
  std::istringstream lines(some().text());
  for (std::string each; std::getline(lines, each);) {
    EXPECT_TRUE(std::regex_match(each, line)) << each;
  }
}

TEST(MetricsText, CountersGoOn) {
  Metrics again;
  again.restore(some().text());
  EXPECT_EQ(counters(again), counters(some()));
  EXPECT_THAT(again.text(), HasSubstr("vmcored_store_bytes 0\n"));
  again.count_crash("hang", "");
  EXPECT_THAT(again.text(), HasSubstr("{reason=\"hang\",signature=\"none\"} 2\n"));
}

TEST(MetricsText, SignaturesAreBounded) {
  Metrics metrics;
  for (int i = 0; i < 1000; ++i) {
    metrics.count_crash("reason " + std::to_string(i % 20), "signature " + std::to_string(i));
  }
  const auto count = [](const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
      ++found;
    }
    return found;
  };
  EXPECT_LE(count(metrics.text(), "vmcored_crashes_total{"), 50U + 11U);
  EXPECT_EQ(count(metrics.text(), "signature=\"signature "), 50U);
  EXPECT_THAT(metrics.text(), HasSubstr("reason=\"other\",signature=\"other\""));
  Metrics again;
  again.restore(metrics.text());
  EXPECT_EQ(counters(again), counters(metrics));
}

TEST(MetricsText, LongLabelsAreCut) {
  Metrics metrics;
  metrics.count_crash("panic", std::string(1'000'000, 'x') + "\xff");
  EXPECT_LT(metrics.text().size(), 10'000U);
}

TEST(MetricsText, WhatOthersWroteIsLeftOut) {
  for (const char* const line :
       {"vmcored_dumps_total{result=\"kept\"} -1", "vmcored_dumps_total{result=\"kept\"} 1e9",
        "vmcored_dumps_total{result=\"kept\"} 99999999999999999999", "vmcored_dumps_total 5",
        "vmcored_dumps_total{result=\"stolen\"} 5", "vmcored_dump_bytes_total{a=\"b\"} 5",
        "vmcored_crashes_total{reason=\"panic\"} 5", "vmcored_crashes_total{reason=\"panic\",} 5",
        "vmcored_crashes_total{signature=\"a\",reason=\"b\"} 5",
        "vmcored_crashes_total{reason=\"a\",signature=\"b\",c=\"d\"} 5",
        "vmcored_crashes_total{reason=\"a\",signature=\"b} 5", "node_cpu_seconds_total 5",
        "vmcored_pause_seconds_sum NaN", "vmcored_pause_seconds_count 7", "{} 1", " 1", "="}) {
    Metrics metrics;
    metrics.restore(line);
    EXPECT_EQ(metrics.text(), Metrics().text()) << line;
  }
}

TEST(MetricsText, AHistogramThatCannotBeIsLeftOut) {
  const std::string good = some().text();
  const auto restored = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    Metrics metrics;
    metrics.restore(text);
    return metrics.text();
  };
  const char* const zero = "vmcored_flash_report_seconds_count 0\n";
  EXPECT_THAT(
      restored("report_seconds_bucket{le=\"0.1\"} 0", "report_seconds_bucket{le=\"0.1\"} 9"),
      HasSubstr(zero));
  EXPECT_THAT(restored("report_seconds_bucket{le=\"0.1\"} 0", "no line"), HasSubstr(zero));
  EXPECT_THAT(restored("report_seconds_sum 7200.300000", "report_seconds_sum inf"),
              HasSubstr(zero));
}

TEST(MetricsText, CountersDoNotOverflow) {
  Metrics metrics;
  for (int i = 0; i < 3; ++i) {
    metrics.restore("vmcored_dump_bytes_total 18446744073709551615\n");
    metrics.count_dump(DumpOutcome::kept, ~0ULL);
  }
  EXPECT_THAT(metrics.text(), HasSubstr("vmcored_dump_bytes_total 9007199254740992\n"));
}

// The example's rules name metrics that there are, and labels that these have.
TEST(AlertRules, EachMetricIsWritten) {
  const std::string rules = read_file(EXAMPLES "/prometheus/vmcored.rules.yml").value();
  const std::regex name("vmcored_[a-z_]+");
  const std::string text = some().text();
  int found = 0;
  for (std::sregex_iterator each(rules.begin(), rules.end(), name), end; each != end; ++each) {
    EXPECT_TRUE(text.find("\n" + each->str() + "{") != std::string::npos ||
                text.find("\n" + each->str() + " ") != std::string::npos)
        << each->str();
    ++found;
  }
  EXPECT_GT(found, 5);
}

class MetricsFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "vmcorectl-metrics-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    file_ = folder_ / "vmcored.prom";
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  fs::path file_;
};

TEST_F(MetricsFile, IsReplacedAsAWhole) {
  ::umask(077);
  ASSERT_TRUE(write_metrics(Metrics(), file_));
  ASSERT_TRUE(write_metrics(some(), file_));
  EXPECT_EQ(read_file(file_).value(), some().text());
  EXPECT_EQ(counters(read_metrics(file_)), counters(some()));
  struct stat status {};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(MetricsFile, ALinkThatWaitsThereIsNotFollowed) {
  std::ofstream(folder_ / "precious") << "precious";
  fs::create_symlink(folder_ / "precious", folder_ / ".vmcored.prom.new");
  fs::create_symlink(folder_ / "precious", file_);
  ASSERT_TRUE(write_metrics(some(), file_));
  EXPECT_EQ(read_file(folder_ / "precious").value(), "precious");
  EXPECT_FALSE(fs::is_symlink(file_));
}

TEST_F(MetricsFile, WhereItCannotBeWritten) {
  EXPECT_FALSE(write_metrics(some(), folder_ / "nowhere" / "vmcored.prom"));
  fs::create_directory(file_);
  const auto written = write_metrics(some(), file_);
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message, HasSubstr(file_.native()));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(MetricsFile, WhatIsNoFileIsNotRead) {
  EXPECT_EQ(read_metrics(file_).text(), Metrics().text());
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_EQ(read_metrics(file_).text(), Metrics().text());
  EXPECT_EQ(read_metrics(folder_).text(), Metrics().text());
  fs::remove(file_);
  std::ofstream(file_) << some().text() << std::string(2U << 20, '\n');
  EXPECT_EQ(read_metrics(file_).text(), Metrics().text());
}

}  // namespace
}  // namespace vmcore::daemon
