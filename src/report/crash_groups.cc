// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/crash_groups.h"

#include "src/report/signature_json.h"

namespace vmcore::report {
namespace {

Json group_json(const CrashGroup& group) {
  Json guests = Json::array();
  for (const std::string& guest : group.guests) {
    guests.push_back(cut(guest, kMaxText));
  }
  return {{"signature", signature_json(group.signature)},
          {"title", cut(group.title, kMaxText)},
          {"count", group.count},
          {"guests", std::move(guests)},
          {"first", group.first},
          {"last", group.last},
          {"newest", cut(group.newest, kMaxName)}};
}

}  // namespace

std::string to_json(const CrashGroups& groups) {
  Json list = Json::array();
  for (const CrashGroup& group : groups.groups) {
    list.push_back(group_json(group));
  }
  return document_text({{"schema", CrashGroups::kSchema},
                        {"store", cut(groups.store, kMaxPath)},
                        {"groups", std::move(list)}});
}

}  // namespace vmcore::report
