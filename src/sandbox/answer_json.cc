// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/messages.h"

#include <string>
#include <vector>

#include "src/sandbox/message_json.h"

namespace vmcore::sandbox {
namespace {

// [begin, size, address or null, file or null, offset]
Json pieces_json(const std::vector<Piece>& pieces) {
  Json list = Json::array();
  for (const Piece& piece : pieces) {
    const FilePlace place = piece.file.value_or(FilePlace{});
    list.push_back({piece.range.begin.value, piece.range.size,
                    piece.address ? Json(*piece.address) : Json(),
                    piece.file ? Json(place.file) : Json(), place.offset});
  }
  return list;
}

std::vector<Piece> pieces_from(const Json& json) {
  std::vector<Piece> pieces;
  for (const Json& entry : json) {
    Piece piece{.range = {{entry.at(0)}, entry.at(1)}, .address = {}, .file = {}};
    if (!entry.at(2).is_null()) {
      piece.address = entry.at(2).get<std::uint64_t>();
    }
    if (!entry.at(3).is_null()) {
      piece.file = FilePlace{entry.at(3), entry.at(4)};
    }
    pieces.push_back(piece);
  }
  return pieces;
}

// The registers that the worker uses of a running guest: [index, RIP, RSP, RFLAGS, CS, GS, CR0,
// CR3, CR4, RBP]; the control registers are null where they are not known. One packet holds some
// hundreds of vCPUs.
Json cpu_json(const CpuState& cpu) {
  const auto known = [](const std::optional<std::uint64_t>& value) {
    return value ? Json(*value) : Json();
  };
  return {cpu.index,   cpu.rip,        cpu.rsp,        cpu.rflags,     cpu.cs.selector,
          cpu.gs.base, known(cpu.cr0), known(cpu.cr3), known(cpu.cr4), cpu.rbp};
}

CpuState cpu_from(const Json& json) {
  const auto known = [&json](unsigned at) {
    const Json& value = json.at(at);
    return value.is_null() ? std::nullopt : std::optional(value.get<std::uint64_t>());
  };
  CpuState cpu;
  cpu.index = json.at(0);
  cpu.rip = json.at(1);
  cpu.rsp = json.at(2);
  cpu.rflags = json.at(3);
  cpu.cs.selector = json.at(4);
  cpu.gs.base = json.at(5);
  cpu.cr0 = known(6);
  cpu.cr3 = known(7);
  cpu.cr4 = known(8);
  cpu.rbp = json.at(9);
  return cpu;
}

}  // namespace

std::string encode(const Have& have) {
  Json json = Json::object();
  if (have.error) {
    json["error"] = error_json(*have.error);
  }
  return packet_of(json);
}

Result<Have> decode_have(std::string_view packet) {
  return decode<Have>(packet, [](const Json& json) {
    return json.contains("error") ? Have{error_from(json.at("error"))} : Have{};
  });
}

std::string encode(const Cost& cost) { return packet_of(cost_json(cost)); }

Result<Cost> decode_cost(std::string_view packet) { return decode<Cost>(packet, cost_from); }

std::string encode(const Located& located) {
  Json json{{"pieces", pieces_json(located.pieces)}};
  if (located.error) {
    json["error"] = error_json(*located.error);
  }
  json["cpus"] = Json::array();
  std::size_t size = packet_of(json).size();
  for (const CpuState& cpu : located.cpus) {
    Json one = cpu_json(cpu);
    size += packet_of(one).size() + 1;
    if (size > kMaxPacket) {
      break;
    }
    json["cpus"].push_back(std::move(one));
  }
  return packet_of(json);
}

Result<Located> decode_located(std::string_view packet) {
  return decode<Located>(packet, [](const Json& json) {
    Located located{.error = {}, .pieces = pieces_from(json.at("pieces"))};
    if (json.contains("error")) {
      located.error = error_from(json.at("error"));
    }
    for (const Json& entry : json.at("cpus")) {
      located.cpus.push_back(cpu_from(entry));
    }
    return located;
  });
}

}  // namespace vmcore::sandbox
