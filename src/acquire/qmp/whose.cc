// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/whose.h"

#include "qmp/message.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

std::string ask_text(const Execute& execute, const std::string& command, const char* member) {
  const auto answer = execute(command, Json::object());
  return answer ? qmp::text_member(*answer, member).value_or("") : "";
}

}  // namespace

std::string ask_version(const Execute& execute) {
  const auto answer = execute("query-version", Json::object());
  if (!answer || !answer->contains("qemu")) {
    return "";
  }
  const Json& qemu = answer->at("qemu");
  const auto major = qmp::number_member(qemu, "major");
  const auto minor = qmp::number_member(qemu, "minor");
  const auto micro = qmp::number_member(qemu, "micro");
  return major && minor && micro ? fmt::format("{}.{}.{}", *major, *minor, *micro) : "";
}

GuestIdentity ask_identity(const Execute& execute) {
  GuestIdentity identity{.name = ask_text(execute, "query-name", "name"),
                         .uuid = ask_text(execute, "query-uuid", "UUID"),
                         .qemu = ask_version(execute)};
  // QEMU's answer where it was given none (softmmu/vl.c, qemu_uuid_set).
  if (identity.uuid.find_first_not_of("0-") == std::string::npos) {
    identity.uuid.clear();
  }
  return identity;
}

}  // namespace vmcore::acquire
