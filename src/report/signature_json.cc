// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/signature_json.h"

namespace vmcore::report {

Json signature_json(const Signature& signature) {
  if (signature == Signature{}) {
    return {};
  }
  return {{"exact", cut(signature.exact, kMaxName)},
          {"family", cut(signature.family, kMaxName)},
          {"title", cut(signature.title, kMaxText)},
          {"weak", signature.weak}};
}

Signature signature_from(const Members& json) {
  if (!json.has("signature")) {
    return {};
  }
  const Members signature = json.object("signature");
  return {.exact = signature.text("exact", kMaxName),
          .family = signature.text("family", kMaxName),
          .title = signature.text("title", kMaxText),
          .weak = signature.has("weak") && signature.flag("weak")};
}

}  // namespace vmcore::report
