// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/signature_json.h"

namespace vmcore::report {

Json signature_json(const CrashSignature& signature) {
  if (signature == CrashSignature{}) {
    return {};
  }
  return {{"exact", cut(signature.exact, kMaxName)},
          {"family", cut(signature.family, kMaxName)},
          {"title", cut(signature.title, kMaxText)},
          {"weak", signature.weak}};
}

CrashSignature signature_of(const Members& owner) {
  if (!owner.has("signature")) {
    return {};
  }
  const Members json = owner.object("signature");
  return {.exact = json.text("exact", kMaxName),
          .family = json.text("family", kMaxName),
          .title = json.text("title"),
          .weak = json.has("weak") && json.flag("weak")};  // the first manifests have none
}

}  // namespace vmcore::report
