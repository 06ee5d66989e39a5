// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/policy_metadata.h"

#include <libvirt/virterror.h>

#include <cstdlib>
#include <iterator>
#include <memory>
#include <pugixml.hpp>

#include "src/acquire/libvirt/connection.h"

namespace vmcore::acquire {
namespace {

constexpr std::size_t kMostBytes = 64U << 10;
constexpr std::size_t kMostSettings = 64;

// Without its prefix, which anybody may choose.
std::string_view local_name(std::string_view name) {
  return name.substr(name.find(':') == std::string_view::npos ? 0 : name.find(':') + 1);
}

bool declares_namespace(std::string_view attribute) {
  return attribute == "xmlns" || attribute.starts_with("xmlns:");
}

}  // namespace

Result<PolicySettings> read_policy_element(std::string_view xml) {
  if (xml.size() > kMostBytes) {
    return fail(Errc::limit, "the policy in the domain's metadata has more than 64 KiB");
  }
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node policy = document.document_element();
  if (!parsed || local_name(policy.name()) != "policy") {
    return fail(Errc::malformed, "the policy in the domain's metadata is no element <policy>: {}",
                parsed ? policy.name() : parsed.description());
  }
  if (policy.first_child() || policy.next_sibling()) {
    return fail(Errc::malformed,
                "the policy in the domain's metadata has elements or text in it: write attributes "
                "such as after-crash=\"restart\"");
  }
  PolicySettings settings;
  for (const pugi::xml_attribute attribute : policy.attributes()) {
    if (declares_namespace(attribute.name())) {
      continue;
    }
    if (settings.size() == kMostSettings) {
      return fail(Errc::limit, "the policy in the domain's metadata has more than {} attributes",
                  kMostSettings);
    }
    settings.emplace_back(attribute.name(), attribute.value());
  }
  return settings;
}

Result<PolicySettings> policy_settings_of(virDomain* domain) {
  const std::unique_ptr<char, decltype(&std::free)> text(
      virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, kPolicyNamespace,
                           VIR_DOMAIN_AFFECT_CURRENT),
      &std::free);
  if (!text) {
    const virError* const error = virGetLastError();
    if (error != nullptr && error->code == VIR_ERR_NO_DOMAIN_METADATA) {
      return PolicySettings();
    }
    return libvirt_failure("the domain's metadata");
  }
  return read_policy_element(text.get());
}

}  // namespace vmcore::acquire
