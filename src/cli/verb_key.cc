// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "src/base/fd.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/output.h"
#include "src/seal/key.h"

namespace vmcore::cli {
namespace {

// The public half of the key in the file, which is made where there is none.
Result<seal::PublicKey> public_key_of(const std::string& path) {
  if (path == "-" || job::is_stream(path)) {
    return fail(Errc::invalid,
                "{} is not a regular file: a key is kept in a file, give the name of one", path);
  }
  auto made = seal::make_key_file(path);
  if (made || made.error().code != Errc::exists) {
    return made;
  }
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) {
    return fail_errno(errno, path);
  }
  const auto key = seal::read_key_file(file.get());
  return key ? Result<seal::PublicKey>(key->public_key()) : in_context(key.error(), path);
}

}  // namespace

Run add_key(CLI::App& command, const Common& common) {
  const auto path = std::make_shared<std::string>();
  command
      .add_option("FILE", *path, "The file of the secret key; it is created if it does not exist")
      ->required();
  return [path, &common] {
    const auto key = public_key_of(job::resolved_output(*path));
    if (!key) {
      return report_error(key.error(), common);
    }
    const std::string shown = seal::format_public_key(*key);
    fmt::print(
        "{}\n",
        common.json
            ? nlohmann::ordered_json{{"schema", "vmcorectl-key/1"}, {"encrypt_to", shown}}.dump(2)
            : "encrypt-to = " + shown);
    return static_cast<int>(kExitDone);
  };
}

}  // namespace vmcore::cli
