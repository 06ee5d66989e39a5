// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/definition.h"

#include <numeric>
#include <pugixml.hpp>
#include <sstream>
#include <string_view>

#include "src/acquire/crash/guest_line.h"
#include "src/base/number.h"

namespace vmcore::acquire {
namespace {

using Node = pugi::xml_node;

struct KnownOwner {
  std::string_view xml_namespace;  // of what it writes into <metadata>: how that begins
  Owner owner;
};

// Sources: nova/virt/libvirt/config.py (NOVA_NS); vdsm lib/vdsm/virt/xmlconstants.py;
// kubevirt pkg/virt-launcher/virtwrap/api/schema.go, and VEP "PanicDevices" (KubeVirt 1.6).
constexpr KnownOwner kOwners[] = {
    {"http://openstack.org/xmlns/libvirt/nova/", {"OpenStack Nova", ""}},
    {"http://ovirt.org/vm/", {"oVirt", ""}},
    {"http://kubevirt.io",
     {"KubeVirt",
      " (a panic device: spec.domain.devices.panicDevices of the VirtualMachineInstance, feature "
      "gate PanicDevices)"}},
};

const Owner* owner_named_in(const Node& node) {
  for (const pugi::xml_attribute attribute : node.attributes()) {
    if (!std::string_view(attribute.name()).starts_with("xmlns")) {
      continue;
    }
    for (const KnownOwner& known : kOwners) {
      if (std::string_view(attribute.value()).starts_with(known.xml_namespace)) {
        return &known.owner;
      }
    }
  }
  return nullptr;
}

// A namespace is declared at the element that uses it, or at an outer one.
const Owner* owner_of(const Node& domain) {
  const Node metadata = domain.child("metadata");
  for (const Node& node : {domain, metadata}) {
    if (const Owner* owner = owner_named_in(node)) {
      return owner;
    }
  }
  for (const Node& node : metadata.children()) {
    if (const Owner* owner = owner_named_in(node)) {
      return owner;
    }
  }
  return nullptr;
}

// White space is kept, so that the text that is written looks as before.
Result<Node> parse(pugi::xml_document& document, const std::string& xml) {
  const pugi::xml_parse_result parsed =
      document.load_buffer(xml.data(), xml.size(), pugi::parse_full | pugi::parse_ws_pcdata);
  if (!parsed) {
    return fail(Errc::malformed, "libvirt's definition of the domain, at byte {}: {}",
                parsed.offset, parsed.description());
  }
  const Node domain = document.child("domain");
  if (!domain) {
    return fail(Errc::malformed, "libvirt's definition does not define a domain");
  }
  return domain;
}

std::string write(const pugi::xml_document& document) {
  std::ostringstream text;
  document.save(
      text, "",
      pugi::format_raw | pugi::format_no_declaration | pugi::format_attribute_single_quote);
  return text.str() + "\n";
}

bool is_on(const Node& feature) {
  return feature && std::string_view(feature.attribute("state").value()) != "off";
}

// The hyperv model is for Windows: Linux under QEMU reports a panic by the other models.
bool has_panic_device(const Node& domain) {
  return static_cast<bool>(domain.child("devices").find_child([](const Node& device) {
    return std::string_view(device.name()) == "panic" &&
           std::string_view(device.attribute("model").value()) != "hyperv";
  }));
}

bool has_shared_memory(const Node& domain) {
  const auto is_shared = [](const pugi::xml_attribute& access) {
    return std::string_view(access.value()) == "shared";
  };
  const Node numa = domain.child("cpu").child("numa");
  return is_shared(domain.child("memoryBacking").child("access").attribute("mode")) ||
         numa.find_child([&](const Node& cell) { return is_shared(cell.attribute("memAccess")); });
}

std::string memory_of(const Node& domain) {
  const Node backing = domain.child("memoryBacking");
  if (backing.child("hugepages")) {
    return "huge pages";
  }
  return backing.child("source").attribute("type").as_string("anonymous");
}

bool is_pc(const Node& domain) {
  const Node type = domain.child("os").child("type");
  const std::string_view arch = type.attribute("arch").value();
  const std::string_view machine = type.attribute("machine").value();
  return (arch == "x86_64" || arch == "i686") &&
         (machine.starts_with("pc") || machine.starts_with("q35"));
}

// The size is in an attribute of that name, else in the element's text. libvirt writes KiB.
Result<std::uint64_t> bytes_of(const Node& node, const char* attribute) {
  const std::string_view unit = node.attribute("unit").as_string("KiB");
  const std::string_view text =
      *attribute != '\0' ? node.attribute(attribute).value() : node.text().get();
  const auto size = parse_number<std::uint64_t>(text);
  if (!size || unit != "KiB" || *size > kMaxPhysAddr / 1024) {
    return fail(Errc::unsupported,
                "libvirt's definition has a memory size in an unknown unit: {} {}", text, unit);
  }
  return *size * 1024;
}

// The base address of plugged memory: a DIMM has it beside its slot, virtio-mem in its target.
Result<PhysAddr> base_of(const Node& device) {
  const Node inner = device.child("target").child("address");
  const std::uint64_t base =
      (inner ? inner : device.child("address")).attribute("base").as_ullong();
  if (base == 0 || base >= kMaxPhysAddr) {
    return fail(Errc::unsupported,
                "libvirt's definition does not tell the address of plugged memory");
  }
  return PhysAddr{base};
}

// Behind the parent's last child, on a line of its own, indented as libvirt does.
Node add_line(Node parent, const char* name) {
  std::string indent = "\n";
  for (Node outer = parent; outer.parent().parent(); outer = outer.parent()) {
    indent += "  ";
  }
  Node gap = parent.last_child();
  if (gap.type() != pugi::node_pcdata) {
    gap = parent.append_child(pugi::node_pcdata);
  }
  gap.set_value((indent + "  ").c_str());
  const Node added = parent.append_child(name);
  parent.append_child(pugi::node_pcdata).set_value(indent.c_str());
  return added;
}

Node child_or_line(Node parent, const char* name) {
  const Node child = parent.child(name);
  return child ? child : add_line(parent, name);
}

void turn_on_vmcoreinfo(Node domain) {
  if (is_on(domain.child("features").child("vmcoreinfo"))) {
    return;
  }
  Node feature = child_or_line(child_or_line(domain, "features"), "vmcoreinfo");
  pugi::xml_attribute state = feature.attribute("state");
  (state ? state : feature.append_attribute("state")).set_value("on");
}

void add_panic_device(Node domain) {
  if (!has_panic_device(domain) && is_pc(domain)) {
    add_line(child_or_line(domain, "devices"), "panic").append_attribute("model").set_value("isa");
  }
}

Node find_channel(const Node& domain, std::string_view name) {
  return domain.child("devices").find_child([&](const Node& device) {
    const Node target = device.child("target");
    return std::string_view(device.name()) == "channel" &&
           std::string_view(device.attribute("type").value()) == "unix" &&
           std::string_view(target.attribute("type").value()) == "virtio" &&
           std::string_view(target.attribute("name").value()) == name;
  });
}

// libvirt finds a path for it, and a virtio-serial controller.
void add_channel(Node domain) {
  if (find_channel(domain, kDumpChannel) || !is_pc(domain)) {
    return;
  }
  Node channel = add_line(child_or_line(domain, "devices"), "channel");
  channel.append_attribute("type").set_value("unix");
  Node target = add_line(channel, "target");
  target.append_attribute("type").set_value("virtio");
  target.append_attribute("name").set_value(std::string(kDumpChannel).c_str());
}

void keep_crashed(Node domain) {
  const std::string_view chosen = domain.child("on_crash").text().as_string("destroy");
  if (has_panic_device(domain) && chosen == "destroy") {
    child_or_line(domain, "on_crash").text().set("preserve");
  }
}

}  // namespace

Result<GuestSetup> read_definition(const std::string& xml) {
  pugi::xml_document document;
  TRY_ASSIGN(const Node domain, parse(document, xml));
  return GuestSetup{
      .name = domain.child("name").text().get(),
      .machine = domain.child("os").child("type").attribute("machine").value(),
      .arch = domain.child("os").child("type").attribute("arch").value(),
      .panic_device = has_panic_device(domain),
      .vmcoreinfo_device = is_on(domain.child("features").child("vmcoreinfo")),
      .dump_channel = static_cast<bool>(find_channel(domain, kDumpChannel)),
      .on_crash = domain.child("on_crash").text().as_string("destroy"),
      .encryption = domain.child("launchSecurity").attribute("type").value(),
      .memory = memory_of(domain),
      .memory_shared = has_shared_memory(domain),
      .owner = owner_of(domain),
  };
}

Result<MemoryDefinition> read_memory_definition(const std::string& xml) {
  pugi::xml_document document;
  TRY_ASSIGN(const Node domain, parse(document, xml));
  MemoryDefinition memory;
  memory.machine = domain.child("os").child("type").attribute("machine").value();
  TRY_ASSIGN(memory.main, bytes_of(domain.child("memory"), ""));
  for (const Node& device : domain.child("devices").children("memory")) {
    TRY_ASSIGN(const std::uint64_t size, bytes_of(device.child("target").child("size"), ""));
    if (size > memory.main) {
      return fail(Errc::malformed,
                  "libvirt's definition has more plugged memory than the guest has memory");
    }
    memory.main -= size;
    const std::string_view model = device.attribute("model").value();
    if (model == "dimm" || model == "virtio-mem") {
      TRY_ASSIGN(const PhysAddr begin, base_of(device));
      memory.plugged.push_back({begin, size});
    }
  }
  for (const Node& cell : domain.child("cpu").child("numa").children("cell")) {
    TRY_ASSIGN(const std::uint64_t size, bytes_of(cell, "memory"));
    memory.nodes.push_back(size);
  }
  if (!memory.nodes.empty()) {
    memory.main = std::accumulate(memory.nodes.begin(), memory.nodes.end(), std::uint64_t{0});
  }
  return memory;
}

Result<std::string> channel_path(const std::string& xml, std::string_view channel) {
  pugi::xml_document document;
  TRY_ASSIGN(const Node domain, parse(document, xml));
  return std::string(find_channel(domain, channel).child("source").attribute("path").value());
}

Result<std::string> console_path(const std::string& xml) {
  pugi::xml_document document;
  TRY_ASSIGN(const Node domain, parse(document, xml));
  const Node devices = domain.child("devices");
  for (const char* const kind : {"serial", "console"}) {
    for (const Node device : devices.children(kind)) {
      const bool is_file = std::string_view(device.attribute("type").value()) == "file";
      const std::string log = device.child("log").attribute("file").value();
      const std::string path = device.child("source").attribute("path").value();
      if (!log.empty() || (is_file && !path.empty())) {
        return log.empty() ? path : log;
      }
    }
  }
  return std::string();
}

Result<DefinitionEdit> prepare_definition(const std::string& xml) {
  pugi::xml_document document;
  TRY_ASSIGN(const Node domain, parse(document, xml));
  const std::string_view type = domain.attribute("type").value();
  if (type != "kvm" && type != "qemu") {
    return fail(Errc::unsupported, "a domain of type {} does not run in QEMU", type);
  }
  if (const Owner* owner = owner_of(domain)) {
    return fail(
        Errc::unsupported,
        "the domain's definition belongs to {}, which would undo a change: change it there{}",
        owner->name, owner->knob);
  }
  DefinitionEdit edit{.before = write(document), .after = {}};
  turn_on_vmcoreinfo(domain);
  add_panic_device(domain);
  add_channel(domain);
  keep_crashed(domain);
  edit.after = write(document);
  return edit;
}

}  // namespace vmcore::acquire
