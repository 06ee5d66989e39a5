// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/qemu/device_state.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "src/formats/qemu/migration_stream.h"

namespace vmcore::formats {
namespace {

using Json = nlohmann::json;

// Kinds of sections (QEMU migration/savevm.h).
constexpr std::uint64_t kEof = 0x00;
constexpr std::uint64_t kFull = 0x04;
constexpr std::uint64_t kSubsection = 0x05;
constexpr std::uint64_t kDescription = 0x06;
constexpr std::uint64_t kFooter = 0x7e;

// Deeper than any device nests: parts of parts.
constexpr int kMaxDepth = 32;

// The bytes of the devices, with the field that is looked at; all numbers are big-endian.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }
  std::uint64_t number_at(std::uint64_t at, std::size_t size) const {
    std::uint64_t value = 0;
    for (const std::byte byte : bytes_.subspan(at, size)) {
      value = value << 8 | std::to_integer<std::uint64_t>(byte);
    }
    return value;
  }
  Result<> skip(std::uint64_t size) {
    if (size > left()) {
      return fail(Errc::malformed, "the devices of the migration stream end after {} bytes", at_);
    }
    at_ += size;
    return {};
  }
  // Whether that number comes next; it is then behind us.
  bool next_is(std::uint64_t value, std::size_t size) {
    const bool same = size <= left() && number_at(at_, size) == value;
    at_ += same ? size : 0;
    return same;
  }
  // The same with a length and a text.
  bool next_is(std::string_view text) {
    const auto expected = std::as_bytes(std::span(text.data(), text.size()));
    const bool same = text.size() < left() && number_at(at_, 1) == text.size() &&
                      std::ranges::equal(bytes_.subspan(at_ + 1, text.size()), expected);
    at_ += same ? text.size() + 1 : 0;
    return same;
  }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
};

std::uint64_t number_of(const Json& object, const char* name, std::uint64_t otherwise) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>()
                                                              : otherwise;
}

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The members of a list that are objects; anything else is no description of QEMU's.
const Json& list_of(const Json& object, const char* name) {
  static const Json kNone = Json::array();
  const auto found = object.find(name);
  return found != object.end() && found->is_array() &&
                 std::ranges::all_of(*found, [](const Json& entry) { return entry.is_object(); })
             ? *found
             : kNone;
}

tl::unexpected<Error> not_as_described(const std::string& name, std::uint64_t at) {
  return fail(Errc::malformed,
              "device {} differs from its description in the migration stream, at {}", name, at);
}

// Where fields lie: bytes from the beginning of all, and what there is of each.
struct Field {
  std::uint64_t at = 0;
  std::uint64_t size = 0;   // of one element
  std::uint64_t count = 1;  // of elements
  const Json* description = nullptr;
};

Result<std::uint64_t> size_of(const Json& field, std::uint64_t most) {
  const std::uint64_t size = number_of(field, "size", most + 1);
  const std::uint64_t count = number_of(field, "array_len", 1);
  if (size > most || count > most || size * count > most) {  // most is at most kMaxDeviceState
    return fail(Errc::malformed, "field {} of the migration stream is too large",
                text_of(field, "name"));
  }
  return size * count;
}

std::optional<Field> find_field(const Json& fields, std::uint64_t at, std::string_view name) {
  for (const Json& field : fields) {
    const auto size = size_of(field, kMaxDeviceState);
    if (!size) {
      break;
    }
    if (text_of(field, "name") == name) {
      return Field{at, number_of(field, "size", 0), number_of(field, "array_len", 1), &field};
    }
    at += *size;
  }
  return std::nullopt;
}

Result<> skip_fields(const Json& fields, Bytes& in) {
  for (const Json& field : fields) {
    TRY_ASSIGN(const std::uint64_t size, size_of(field, in.left()));
    TRY(in.skip(size));
  }
  return {};
}

Result<> skip_subsections(const Json& list, Bytes& in, int depth = 0) {
  for (const Json& part : list) {
    const std::string name = text_of(part, "vmsd_name");
    if (depth == kMaxDepth || !in.next_is(kSubsection, 1) || !in.next_is(name) ||
        !in.next_is(number_of(part, "version", 0), 4)) {
      return not_as_described(name, in.at());
    }
    TRY(skip_fields(list_of(part, "fields"), in));
    TRY(skip_subsections(list_of(part, "subsections"), in, depth + 1));
  }
  return {};
}

// The version has its place in every device, but the description tells it only of those that have a
// VMStateDescription. slirp (-netdev user) and others that write their state by a function of their
// own have none: their one field is all that they wrote, whatever its size is (QEMU v2.4,
// 8118f0950fc7, migration/savevm.c, vmstate_save_old_style).
bool pass_version(const Json& device, Bytes& in) {
  return device.contains("version") ? in.next_is(number_of(device, "version", 0), 4)
                                    : in.skip(4).has_value();
}

// Passes one device; where its fields begin.
Result<std::uint64_t> pass_device(const Json& device, Bytes& in) {
  const std::string name = text_of(device, "name");
  if (!in.next_is(kFull, 1) || in.left() < 4) {
    return not_as_described(name, in.at());
  }
  const std::uint64_t number = in.number_at(in.at(), 4);
  TRY(in.skip(4));
  if (!in.next_is(name) || !in.next_is(number_of(device, "instance_id", 0), 4) ||
      !pass_version(device, in)) {
    return not_as_described(name, in.at());
  }
  const std::uint64_t begin = in.at();
  TRY(skip_fields(list_of(device, "fields"), in));
  TRY(skip_subsections(list_of(device, "subsections"), in));
  if (in.next_is(kFooter, 1) && !in.next_is(number, 4)) {
    return not_as_described(name, in.at());
  }
  return begin;
}

// Reads fields of one vCPU (QEMU target/i386/machine.c, vmstate_x86_cpu). What is missing is
// remembered.
class CpuReader {
 public:
  CpuReader(const Json& fields, const Bytes& in, std::uint64_t at)
      : fields_(fields), in_(in), at_(at) {}

  std::uint64_t number(std::string_view name, std::uint64_t element = 0) {
    return value(find_field(fields_, at_, name), element, 8, name);
  }

  Segment segment(std::string_view name, std::uint64_t element = 0) {
    const auto field = find_field(fields_, at_, name);
    if (!field || element >= field->count || !field->description->contains("struct")) {
      missing_ = name;
      return {};
    }
    const Json& parts = list_of(field->description->at("struct"), "fields");
    const std::uint64_t at = field->at + element * field->size;
    const auto part = [&](const char* of, std::size_t size) {
      return value(find_field(parts, at, of), 0, size, name);
    };
    return {.selector = static_cast<std::uint32_t>(part("selector", 4)),
            .limit = static_cast<std::uint32_t>(part("limit", 4)),
            .flags = static_cast<std::uint32_t>(part("flags", 4)),
            .base = part("base", 8)};
  }

  const std::string& missing() const { return missing_; }

 private:
  std::uint64_t value(const std::optional<Field>& field, std::uint64_t element, std::size_t size,
                      std::string_view name) {
    const std::uint64_t all = in_.at() + in_.left();
    if (!field || field->size != size || element >= field->count || field->at > all ||
        (element + 1) * size > all - field->at) {
      missing_ = name;
      return 0;
    }
    return in_.number_at(field->at + element * size, size);
  }

  const Json& fields_;
  const Bytes& in_;
  std::uint64_t at_;
  std::string missing_;
};

Result<CpuState> read_cpu(const Json& device, const Bytes& in, std::uint64_t at) {
  CpuReader from(list_of(device, "fields"), in, at);
  CpuState cpu;
  cpu.index = static_cast<unsigned>(number_of(device, "instance_id", 0));
  // The order of the instruction set (QEMU target/i386/cpu.h, R_EAX ...).
  std::uint64_t* const general[] = {&cpu.rax, &cpu.rcx, &cpu.rdx, &cpu.rbx, &cpu.rsp, &cpu.rbp,
                                    &cpu.rsi, &cpu.rdi, &cpu.r8,  &cpu.r9,  &cpu.r10, &cpu.r11,
                                    &cpu.r12, &cpu.r13, &cpu.r14, &cpu.r15};
  for (std::size_t i = 0; i < std::size(general); ++i) {
    *general[i] = from.number("env.regs", i);
  }
  cpu.rip = from.number("env.eip");
  cpu.rflags = from.number("env.eflags");
  Segment* const segments[] = {&cpu.es, &cpu.cs, &cpu.ss, &cpu.ds, &cpu.fs, &cpu.gs};
  for (std::size_t i = 0; i < std::size(segments); ++i) {
    *segments[i] = from.segment("env.segs", i);
  }
  cpu.ldt = from.segment("env.ldt");
  cpu.tr = from.segment("env.tr");
  cpu.gdt = from.segment("env.gdt");
  cpu.idt = from.segment("env.idt");
  cpu.cr0 = from.number("env.cr[0]");
  cpu.cr2 = from.number("env.cr[2]");
  cpu.cr3 = from.number("env.cr[3]");
  cpu.cr4 = from.number("env.cr[4]");
  cpu.kernel_gs_base = from.number("env.kernelgsbase");
  if (!from.missing().empty()) {
    return fail(Errc::unsupported, "the migration stream does not have field {} of vCPU {}",
                from.missing(), cpu.index);
  }
  return cpu;
}

// The devices' bytes, and the description that follows them: an end mark, the kind of section, the
// length of the rest. JSON has no byte 0, so the last one is of the mark or the length.
struct Parts {
  std::span<const std::byte> devices;
  std::span<const std::byte> description;
};

std::optional<Parts> split(std::span<const std::byte> state) {
  constexpr std::size_t kMark = 6;
  const auto last = std::find(state.rbegin(), state.rend(), std::byte{0});
  const auto behind = static_cast<std::size_t>(state.rend() - last);
  const Bytes bytes(state);
  for (std::size_t at = behind > kMark ? behind - kMark : 0; at < behind; ++at) {
    if (state.size() - at > kMark && bytes.number_at(at, 1) == kEof &&
        bytes.number_at(at + 1, 1) == kDescription &&
        bytes.number_at(at + 2, 4) == state.size() - at - kMark) {
      return Parts{state.first(at), state.subspan(at + kMark)};
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<CpuState>> read_stream_cpus(std::span<const std::byte> state) {
  const auto parts = split(state);
  if (!parts) {
    return fail(Errc::unsupported,
                "the migration stream does not describe its devices (is QEMU's property "
                "suppress-vmdesc set?), so the registers cannot be read");
  }
  const auto* const text = reinterpret_cast<const char*>(parts->description.data());
  const Json description = Json::parse(
      text, text + parts->description.size(),
      [](int depth, Json::parse_event_t, const Json&) { return depth <= kMaxDepth; },
      /*allow_exceptions=*/false);
  if (!description.is_object()) {
    return fail(Errc::malformed, "the description of the migration stream is not JSON");
  }
  Bytes in(parts->devices);
  std::vector<CpuState> cpus;
  for (const Json& device : list_of(description, "devices")) {
    TRY_ASSIGN(const std::uint64_t begin, pass_device(device, in));
    if (text_of(device, "name") == "cpu") {
      TRY_ASSIGN(CpuState cpu, read_cpu(device, in, begin));
      cpus.push_back(cpu);
    }
  }
  if (in.left() != 0 || cpus.empty()) {
    return fail(Errc::malformed,
                "the migration stream describes {} vCPUs, but not {} bytes of its devices",
                cpus.size(), in.left());
  }
  std::ranges::sort(cpus, {}, &CpuState::index);
  return cpus;
}

}  // namespace vmcore::formats
