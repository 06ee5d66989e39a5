// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/definition.h"

#include <gtest/gtest.h>

#include <string_view>

#include "guest/config/capture_config.h"
#include "src/acquire/crash/guest_line.h"

namespace vmcore::acquire {
namespace {

// As libvirt writes them, but for what does not matter here.
constexpr const char* kReady = R"(<domain type='kvm' id='3'>
  <name>vm1</name>
  <memoryBacking>
    <source type='memfd'/>
    <access mode='shared'/>
  </memoryBacking>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
  </os>
  <features>
    <acpi/>
    <vmcoreinfo state='on'/>
  </features>
  <on_crash>preserve</on_crash>
  <devices>
    <panic model='isa'/>
    <channel type='unix'>
      <source mode='bind' path='/run/libvirt/qemu/channel/3-vm1/org.vmcorectl.dump.0'/>
      <target type='virtio' name='org.vmcorectl.dump.0' state='disconnected'/>
    </channel>
  </devices>
</domain>
)";

constexpr const char* kPlain = R"(<domain type='kvm'>
  <name>vm1</name>
  <description>a &lt; b &amp; 'c'</description>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
  </os>
  <features>
    <acpi/>
  </features>
  <on_crash>destroy</on_crash>
  <devices>
    <memballoon model='none'/>
  </devices>
</domain>
)";

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

GuestSetup setup_in(const std::string& xml) {
  const auto setup = read_definition(xml);
  EXPECT_TRUE(setup) << setup.error().message;
  return setup ? *setup : GuestSetup{};
}

std::string prepared(const std::string& xml) {
  const auto edit = prepare_definition(xml);
  EXPECT_TRUE(edit) << edit.error().message;
  return edit ? edit->after : "";
}

TEST(ReadDefinition, TellsTheArchitecture) {
  EXPECT_EQ(setup_in(kPlain).arch, "x86_64");
  const GuestSetup arm = setup_in(replaced(kPlain, "x86_64", "aarch64"));
  EXPECT_EQ(arm.arch, "aarch64");
  EXPECT_EQ(check_kind(arm.arch, arm.mode).error().code, Errc::guest_state);
  const GuestSetup old = setup_in(replaced(kPlain, "x86_64", "i686"));
  EXPECT_TRUE(check_kind(old.arch, old.mode));  // what its CPUs run is not known
}

TEST(ReadDefinition, TellsWhatMattersToDumps) {
  const GuestSetup setup = setup_in(kReady);
  EXPECT_EQ(setup.name, "vm1");
  EXPECT_EQ(setup.machine, "pc-q35-7.2");
  EXPECT_TRUE(setup.panic_device);
  EXPECT_TRUE(setup.vmcoreinfo_device);
  EXPECT_TRUE(setup.dump_channel);
  EXPECT_EQ(setup.on_crash, "preserve");
  EXPECT_EQ(setup.encryption, "");
  EXPECT_EQ(setup.memory, "memfd");
  EXPECT_TRUE(setup.memory_shared);
  EXPECT_EQ(setup.owner, nullptr);
}

TEST(ReadDefinition, TakesLibvirtsDefaults) {
  const GuestSetup setup = setup_in("<domain><name>x</name></domain>");
  EXPECT_FALSE(setup.panic_device);
  EXPECT_FALSE(setup.vmcoreinfo_device);
  EXPECT_FALSE(setup.dump_channel);
  EXPECT_EQ(setup.on_crash, "destroy");
  EXPECT_EQ(setup.memory, "anonymous");
  EXPECT_FALSE(setup.memory_shared);
}

TEST(ReadDefinition, SeesMemoryThatIsSpecial) {
  EXPECT_EQ(setup_in("<domain><launchSecurity type='sev'/></domain>").encryption, "sev");
  EXPECT_EQ(setup_in("<domain><memoryBacking><hugepages/></memoryBacking></domain>").memory,
            "huge pages");
  EXPECT_TRUE(setup_in("<domain><cpu><numa><cell id='0'/><cell id='1' memAccess='shared'/></numa>"
                       "</cpu></domain>")
                  .memory_shared);
}

TEST(ReadDefinition, AFeatureThatIsOffIsNotThere) {
  EXPECT_FALSE(setup_in("<domain><features><vmcoreinfo state='off'/></features></domain>")
                   .vmcoreinfo_device);
  EXPECT_TRUE(setup_in("<domain><features><vmcoreinfo/></features></domain>").vmcoreinfo_device);
}

TEST(ReadDefinition, APanicDeviceForWindowsIsNone) {
  EXPECT_FALSE(
      setup_in("<domain><devices><panic model='hyperv'/></devices></domain>").panic_device);
  EXPECT_TRUE(setup_in("<domain><devices><panic model='hyperv'/><panic model='isa'/></devices>"
                       "</domain>")
                  .panic_device);
  EXPECT_TRUE(setup_in("<domain><devices><panic/></devices></domain>").panic_device);
}

TEST(ReadDefinition, KnowsWhoseItIs) {
  const auto owner_of = [](const std::string& metadata) -> std::string {
    const Owner* owner = setup_in("<domain>" + metadata + "</domain>").owner;
    return owner != nullptr ? owner->name : "";
  };
  EXPECT_EQ(owner_of("<metadata><nova:instance "
                     "xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'/></metadata>"),
            "OpenStack Nova");
  EXPECT_EQ(
      owner_of("<metadata xmlns:ovirt-vm='http://ovirt.org/vm/1.0'><ovirt-vm:vm/></metadata>"),
      "oVirt");
  EXPECT_EQ(owner_of("<metadata><kubevirt xmlns='http://kubevirt.io'/></metadata>"), "KubeVirt");
  EXPECT_EQ(
      owner_of("<metadata><libosinfo:libosinfo "
               "xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'/></metadata>"),
      "");
}

TEST(ReadDefinition, FindsTheChannelsSocket) {
  EXPECT_EQ(*channel_path(kReady, kDumpChannel),
            "/run/libvirt/qemu/channel/3-vm1/org.vmcorectl.dump.0");
  EXPECT_EQ(*channel_path(kReady, "org.qemu.guest_agent.0"), "");
  EXPECT_EQ(*channel_path(kPlain, kDumpChannel), "");
  EXPECT_EQ(*channel_path(replaced(kReady, "type='unix'", "type='pty'"), kDumpChannel), "");
}

// The guest looks for the same channel.
static_assert(kDumpChannel == guest::config::kPortName);
static_assert(kDumpVsockPort == guest::config::kVsockPort);

TEST(ReadDefinition, RefusesWhatIsNone) {
  EXPECT_EQ(read_definition("<domain><name>").error().code, Errc::malformed);
  EXPECT_EQ(read_definition("").error().code, Errc::malformed);
  EXPECT_EQ(read_definition("<network/>").error().code, Errc::malformed);
}

TEST(PrepareDefinition, AddsWhatIsMissing) {
  std::string wanted = replaced(kPlain, "    <acpi/>\n", R"(    <acpi/>
    <vmcoreinfo state='on'/>
)");
  wanted = replaced(wanted, "    <memballoon model='none'/>\n", R"(    <memballoon model='none'/>
    <panic model='isa'/>
    <channel type='unix'>
      <target type='virtio' name='org.vmcorectl.dump.0'/>
    </channel>
)");
  wanted = replaced(wanted, "<on_crash>destroy", "<on_crash>preserve");
  wanted = replaced(wanted, "'c'", "'c'");
  EXPECT_EQ(prepared(kPlain), wanted);
}

TEST(PrepareDefinition, AddsTheFeaturesToo) {
  EXPECT_EQ(prepared(R"(<domain type='qemu'>
  <os>
    <type arch='aarch64' machine='virt-7.2'>hvm</type>
  </os>
</domain>
)"),
            R"(<domain type='qemu'>
  <os>
    <type arch='aarch64' machine='virt-7.2'>hvm</type>
  </os>
  <features>
    <vmcoreinfo state='on'/>
  </features>
</domain>
)");
}

TEST(PrepareDefinition, HasNothingToDoTwice) {
  const auto ready = prepare_definition(kReady);
  EXPECT_EQ(ready->before, ready->after);
  EXPECT_EQ(ready->after, kReady);
  const auto again = prepare_definition(prepared(kPlain));
  EXPECT_EQ(again->before, again->after);
}

TEST(PrepareDefinition, LeavesAnActionThatWasChosen) {
  for (const char* const action : {"restart", "coredump-restart", "coredump-destroy"}) {
    const std::string element = fmt::format("<on_crash>{}</on_crash>", action);
    const std::string after = prepared(replaced(kPlain, "<on_crash>destroy</on_crash>", element));
    EXPECT_NE(after.find(element), std::string::npos) << action;
    EXPECT_NE(after.find("<panic model='isa'/>"), std::string::npos) << action;
  }
}

TEST(PrepareDefinition, WithoutAPanicDeviceTheActionStays) {
  const std::string after = prepared(replaced(kPlain, "pc-i440fx-7.2", "microvm"));
  EXPECT_EQ(after.find("<panic"), std::string::npos);
  EXPECT_NE(after.find("<on_crash>destroy"), std::string::npos);
  EXPECT_NE(after.find("<vmcoreinfo state='on'/>"), std::string::npos);
}

TEST(PrepareDefinition, TurnsOnWhatWasOff) {
  const std::string after =
      prepared(replaced(kReady, "<vmcoreinfo state='on'/>", "<vmcoreinfo state='off'/>"));
  EXPECT_EQ(after, kReady);
}

TEST(PrepareDefinition, LeavesOthersAlone) {
  EXPECT_EQ(prepare_definition("<domain type='xen'/>").error().code, Errc::unsupported);
  const auto owned = prepare_definition(
      replaced(kPlain, "<description>",
               "<metadata><kubevirt xmlns='http://kubevirt.io'/></metadata><description>"));
  ASSERT_FALSE(owned);
  EXPECT_NE(owned.error().message.find("panicDevices"), std::string::npos);
}

// As libvirt 9.0 writes that of a domain that runs.
std::string domain_with(std::string_view memory, std::string_view numa = "",
                        std::string_view devices = "") {
  return fmt::format(
      "<domain type='kvm'><memory unit='KiB'>{}</memory><currentMemory "
      "unit='KiB'>1024</currentMemory>"
      "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><cpu>{}</cpu>"
      "<devices>{}</devices></domain>",
      memory, numa, devices);
}

TEST(MemoryDefinition, WithoutNodes) {
  const auto memory = read_memory_definition(domain_with("524288"));
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->machine, "pc-q35-7.2");
  EXPECT_EQ(memory->main, 512U << 20);
  EXPECT_TRUE(memory->nodes.empty());
  EXPECT_TRUE(memory->plugged.empty());
}

TEST(MemoryDefinition, NodesAndWhatIsPluggedIn) {
  const auto memory = read_memory_definition(domain_with(
      "2621440",
      "<numa><cell id='0' cpus='0' memory='524288' unit='KiB'/>"
      "<cell id='1' cpus='1' memory='524288' unit='KiB'/></numa>",
      "<memory model='dimm'><target><size unit='KiB'>524288</size><node>0</node></target>"
      "<address type='dimm' slot='0' base='0x100000000'/></memory>"
      "<memory model='virtio-mem'><target><size unit='KiB'>524288</size><node>0</node>"
      "<requested unit='KiB'>0</requested><address base='0x140000000'/></target>"
      "<address type='pci' domain='0x0000' bus='0x07' slot='0x00' function='0x0'/></memory>"
      "<memory model='nvdimm'><target><size unit='KiB'>524288</size></target>"
      "<address type='dimm' slot='1' base='0x180000000'/></memory>"));
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->main, 1024U << 20);
  EXPECT_EQ(memory->nodes, (std::vector<std::uint64_t>{512U << 20, 512U << 20}));
  EXPECT_EQ(memory->plugged,
            (std::vector<PhysRange>{{{0x1'0000'0000}, 512U << 20}, {{0x1'4000'0000}, 512U << 20}}));
}

TEST(MemoryDefinition, WhatItDoesNotSayIsNotGuessed) {
  const auto refused = [](const std::string& xml) { return !read_memory_definition(xml); };
  EXPECT_TRUE(refused("<domain/>"));
  EXPECT_TRUE(refused(domain_with("x")));
  EXPECT_TRUE(refused(domain_with("-1")));
  EXPECT_TRUE(refused(domain_with("18446744073709551615")));
  EXPECT_TRUE(refused(domain_with("524288", "<numa><cell id='0'/></numa>")));
  const char* const dimm =
      "<memory model='dimm'><target><size unit='{}'>{}</size></target>"
      "<address type='dimm' slot='0' {}/></memory>";
  const auto with = [&](const char* unit, const char* size, const char* base) {
    return domain_with("524288", "", fmt::format(fmt::runtime(dimm), unit, size, base));
  };
  EXPECT_FALSE(refused(with("KiB", "1024", "base='0x100000000'")));
  EXPECT_TRUE(refused(with("KiB", "1024", "")));
  EXPECT_TRUE(refused(with("GiB", "1", "base='0x100000000'")));
  EXPECT_TRUE(refused(with("KiB", "1048576", "base='0x100000000'")));
}

std::string with_devices(const char* devices) {
  return fmt::format("<domain type='kvm'><name>vm1</name><devices>{}</devices></domain>", devices);
}

TEST(ConsolePath, IsTheFileThatHasWhatTheGuestPrints) {
  const auto path = [](const char* devices) {
    return console_path(with_devices(devices)).value_or("an error");
  };
  EXPECT_EQ(path(""), "");
  EXPECT_EQ(path("<serial type='pty'><source path='/dev/pts/3'/></serial>"), "");
  EXPECT_EQ(path("<serial type='file'><source path='/log/vm1'/></serial>"), "/log/vm1");
  EXPECT_EQ(path("<serial type='pty'><log file='/log/vm1' append='on'/></serial>"), "/log/vm1");
  EXPECT_EQ(path("<serial type='pty'/><console type='file'><source path='/c'/></console>"), "/c");
  EXPECT_EQ(path("<parallel type='file'><source path='/log/vm1'/></parallel>"), "");
  EXPECT_FALSE(console_path("<network/>"));
}

}  // namespace
}  // namespace vmcore::acquire
