// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/qemu/device_state.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/builders/stream_builder.h"

namespace vmcore::formats {
namespace {

using builders::StreamBuilder;

constexpr std::string_view kSegment =
    R"({"name": "selector", "type": "uint32", "size": 4}, {"name": "base", "size": 8},
       {"name": "limit", "size": 4}, {"name": "flags", "size": 4})";

std::string number_field(std::string_view name, unsigned size = 8, unsigned count = 1) {
  return fmt::format(R"({{"name": "{}", "size": {}, "array_len": {}}})", name, size, count);
}
std::string segment_field(std::string_view name, unsigned count = 1) {
  return fmt::format(
      R"({{"name": "{}", "array_len": {}, "type": "struct", "size": 20, "struct": {{"fields": [{}]}}}})",
      name, count, kSegment);
}

// The fields that are read of a vCPU, with some between that are not.
std::string cpu_fields() {
  std::string text = number_field("env.regs", 8, 16);
  for (const char* name : {"env.eip", "env.eflags"}) {
    text += "," + number_field(name);
  }
  text += "," + number_field("env.hflags", 4) + "," + segment_field("env.segs", 6);
  for (const char* name : {"env.ldt", "env.tr", "env.gdt", "env.idt"}) {
    text += "," + segment_field(name);
  }
  for (const char* name :
       {"env.cr[0]", "env.cr[2]", "env.cr[3]", "env.cr[4]", "env.dr[0]", "env.kernelgsbase"}) {
    text += "," + number_field(name);
  }
  return text;
}

std::string device_text(std::string_view name, unsigned instance, std::string_view fields,
                        std::string_view subsections = "") {
  return fmt::format(
      R"({{"name": "{}", "instance_id": {}, "version": 12, "fields": [{}], "subsections": [{}]}})",
      name, instance, fields, subsections);
}

std::string document(const std::string& devices) {
  return R"({"page_size": 4096, "devices": [)" + devices + "]}";
}

// A vCPU whose fields have the values 1, 2, 3 ... plus `base`, in the order of the stream.
void add_cpu(StreamBuilder& stream, unsigned instance, std::uint64_t base) {
  stream.device("cpu", instance, 12);
  const auto segment = [&] {
    for (const int size : {4, 8, 4, 4}) {
      stream.number(++base, size);
    }
  };
  for (int i = 0; i < 18; ++i) {
    stream.number(++base, 8);
  }
  stream.number(++base, 4);
  for (int i = 0; i < 10; ++i) {
    segment();
  }
  for (int i = 0; i < 6; ++i) {
    stream.number(++base, 8);
  }
}

TEST(StreamCpus, AreReadAlongTheDescription) {
  StreamBuilder stream;
  stream.device("timer", 0, 12).number(7, 8).footer(9);
  add_cpu(stream, 1, 1000);
  stream.number(5, 1).text("cpu/pkru").number(1, 4).number(99, 4).footer(9);
  stream.device("slirp", 0, 12).raw("0123456789").footer(9);
  add_cpu(stream, 0, 0);
  stream.footer(9);
  stream.description(document(
      device_text("timer", 0, number_field("ticks")) + "," +
      device_text(
          "cpu", 1, cpu_fields(),
          R"({"vmsd_name": "cpu/pkru", "version": 1, "fields": [{"name": "p", "size": 4}]})") +
      "," + device_text("slirp", 0, number_field("data", 10)) + "," +
      device_text("cpu", 0, cpu_fields())));
  const auto cpus = read_stream_cpus(stream.bytes());
  ASSERT_TRUE(cpus) << cpus.error().message;
  ASSERT_EQ(cpus->size(), 2U);
  const CpuState& cpu = cpus->front();
  EXPECT_EQ(cpu.index, 0U);
  EXPECT_EQ(cpus->back().index, 1U);
  EXPECT_EQ(cpus->back().rax, 1001U);
  EXPECT_EQ(cpu.rax, 1U);
  EXPECT_EQ(cpu.rcx, 2U);
  EXPECT_EQ(cpu.rdx, 3U);
  EXPECT_EQ(cpu.rbx, 4U);
  EXPECT_EQ(cpu.rsp, 5U);
  EXPECT_EQ(cpu.rdi, 8U);
  EXPECT_EQ(cpu.r15, 16U);
  EXPECT_EQ(cpu.rip, 17U);
  EXPECT_EQ(cpu.rflags, 18U);
  EXPECT_EQ(cpu.es.selector, 20U);
  EXPECT_EQ(cpu.cs.selector, 24U);
  EXPECT_EQ(cpu.cs.base, 25U);
  EXPECT_EQ(cpu.cs.limit, 26U);
  EXPECT_EQ(cpu.cs.flags, 27U);
  EXPECT_EQ(cpu.gs.base, 41U);
  EXPECT_EQ(cpu.ldt.value().selector, 44U);
  EXPECT_EQ(cpu.idt.value().base, 57U);
  EXPECT_EQ(cpu.cr0, 60U);
  EXPECT_EQ(cpu.cr2, 61U);
  EXPECT_EQ(cpu.cr3, 62U);
  EXPECT_EQ(cpu.cr4, 63U);
  EXPECT_EQ(cpu.kernel_gs_base, 65U);
}

// As QEMU writes and describes slirp: the stream has a version, the description has none, and the
// size is that of whatever connections there are.
TEST(StreamCpus, AreReadBehindADeviceThatWritesItsStateByItself) {
  for (const unsigned size : {0U, 131U, 5000U}) {
    StreamBuilder stream;
    stream.device("slirp", 0, 4).raw(std::string(size, '*')).footer(9);
    add_cpu(stream, 0, 0);
    stream.footer(9);
    stream.description(document(fmt::format(R"({{"name": "slirp", "instance_id": 0, "size": {0},
                         "fields": [{{"name": "data", "size": {0}, "type": "buffer"}}]}},)",
                                            size) +
                                device_text("cpu", 0, cpu_fields())));
    const auto cpus = read_stream_cpus(stream.bytes());
    ASSERT_TRUE(cpus) << size << ": " << cpus.error().message;
    ASSERT_EQ(cpus->size(), 1U);
    EXPECT_EQ(cpus->front().rip, 17U);
  }
}

// The stream ends inside the version that is not described.
TEST(StreamCpus, AreNotReadWhereTheStreamEndsInsideADevice) {
  StreamBuilder stream;
  stream.number(4, 1).number(7, 4).text("slirp").number(0, 4).number(0, 2);
  stream.description(document(R"({"name": "slirp", "instance_id": 0, "fields": []})"));
  const auto cpus = read_stream_cpus(stream.bytes());
  ASSERT_FALSE(cpus);
  EXPECT_EQ(cpus.error().code, Errc::malformed);
}

StreamBuilder one_cpu() {
  StreamBuilder stream;
  add_cpu(stream, 0, 0);
  return stream;
}

Errc refused(const StreamBuilder& stream) {
  const auto cpus = read_stream_cpus(stream.bytes());
  EXPECT_FALSE(cpus);
  return cpus ? Errc::cancelled : cpus.error().code;
}

TEST(StreamCpus, GoWithoutFooters) {
  ASSERT_TRUE(read_stream_cpus(
      one_cpu().description(document(device_text("cpu", 0, cpu_fields()))).bytes()));
}

TEST(StreamCpus, NeedTheDescription) {
  EXPECT_EQ(refused(one_cpu()), Errc::unsupported);
  EXPECT_EQ(refused(StreamBuilder()), Errc::unsupported);
  EXPECT_EQ(refused(one_cpu().description(R"({"devices": [)")), Errc::malformed);
  EXPECT_EQ(refused(one_cpu().description("[1]")), Errc::malformed);
  EXPECT_EQ(refused(one_cpu().description(document(""))), Errc::malformed);
}

TEST(StreamCpus, MustBeWhatIsDescribed) {
  const auto described = [](const std::string& devices) {
    return refused(one_cpu().description(document(devices)));
  };
  EXPECT_EQ(described(device_text("cpu", 1, cpu_fields())), Errc::malformed);
  EXPECT_EQ(described(device_text("apic", 0, cpu_fields())), Errc::malformed);
  EXPECT_EQ(described(device_text("cpu", 0, cpu_fields() + "," + number_field("more"))),
            Errc::malformed);
  EXPECT_EQ(described(device_text("cpu", 0, number_field("env.regs", 8, 16))), Errc::unsupported);
  EXPECT_EQ(described(device_text("cpu", 0, number_field("x", 1U << 31, 1U << 31))),
            Errc::malformed);
  EXPECT_EQ(described(device_text("cpu", 0, R"({"name": "x", "size": -1})")), Errc::malformed);
  EXPECT_EQ(described(R"({"name": 7, "fields": 8}, 9)"), Errc::malformed);
}

TEST(StreamCpus, AreNotReadBeyondTheirStructures) {
  // A segment whose parts claim more than there is.
  std::string fields = cpu_fields();
  const std::size_t at = fields.find(R"({"name": "selector", "type": "uint32", "size": 4})");
  fields.insert(at, R"({"name": "pad", "size": 18446744073709551615, "array_len": 7},)");
  EXPECT_EQ(refused(one_cpu().description(document(device_text("cpu", 0, fields)))),
            Errc::unsupported);
}

}  // namespace
}  // namespace vmcore::formats
