// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/image/capture_image.h"
#include "guest/image/stale_image.h"
#include "guest/kexec/estimate.h"
#include "guest/kexec/kernel_facts.h"
#include "guest/kexec/load.h"
#include "src/base/sys.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string kernel;
  std::string image;
};

struct Estimate {
  std::string kernel;
  std::string image;  // empty: assumed
  kexec::Need need;
  std::uint64_t reserved = 0;
};

Result<Estimate> estimate(const Options& options) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  Estimate result{.kernel = options.kernel, .image = options.image, .need = {}};
  if (result.kernel.empty()) {
    TRY_ASSIGN(result.kernel, kexec::find_kernel_image(root, kexec::running_release()));
  }
  result.kernel = std::filesystem::absolute(result.kernel);
  TRY_ASSIGN(const kexec::KernelImage kernel, kexec::read_kernel_image(root, result.kernel));
  if (result.image.empty() && root.exists(image::capture_image_path(kernel.release()))) {
    result.image = image::capture_image_path(kernel.release());
  }
  std::uint64_t size = image::assumed_image_size(root);
  if (!result.image.empty()) {
    result.image = std::filesystem::absolute(result.image);
    TRY_ASSIGN(const Fd image, root.open(result.image, O_RDONLY));
    TRY_ASSIGN(size, sys::file_size(image.get()));
  }
  result.need = kexec::need_of(kernel, size);
  result.reserved = kexec::crash_memory_size(root).value_or(0);
  return result;
}

void print_text(const Estimate& estimate) {
  fmt::print("{}\n", kexec::crashkernel_word(estimate.need));
  fmt::print("  kernel   {}\n", estimate.kernel);
  fmt::print("  image    {}\n",
             !estimate.image.empty()
                 ? estimate.image
                 : fmt::format("not built yet; {} MiB are assumed", estimate.need.image >> 20));
  fmt::print("  needs    {}\n", kexec::explain(estimate.need));
  const auto fit = kexec::check_fit(estimate.need, estimate.reserved);
  fmt::print("  reserved {:.1f} MiB now{}\n", static_cast<double>(estimate.reserved) / (1U << 20),
             !fit           ? ": too little"
             : fit->empty() ? ""
                            : ": barely enough");
}

void print_json(const Estimate& estimate) {
  const kexec::Need& need = estimate.need;
  const Json json{{"crashkernel", kexec::crashkernel_word(need)},
                  {"kernel", estimate.kernel},
                  {"image", estimate.image.empty() ? Json() : Json(estimate.image)},
                  {"kernel_bytes", need.kernel},
                  {"image_bytes", need.image},
                  {"minimum_bytes", need.minimum},
                  {"recommended_bytes", need.recommended},
                  {"reserved_bytes", estimate.reserved},
                  {"fits", kexec::check_fit(need, estimate.reserved).has_value()}};
  fmt::print("{}\n", json.dump(2, ' ', true, Json::error_handler_t::replace));
}

}  // namespace

Run add_estimate(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("--kernel-image", options->kernel, "The kernel; default: the running kernel");
  command.add_option("--initrd", options->image, "Its capture image");
  return [options, &common] {
    const auto result = estimate(*options);
    if (!result) {
      return report_error(result.error(), common);
    }
    common.json ? print_json(*result) : print_text(*result);
    return static_cast<int>(kExitDone);
  };
}

}  // namespace vmcore::guest::cli
