// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/declared.h"

#include "guest/setup/shell_variables.h"

namespace vmcore::guest::setup {
namespace {

// ID of os-release(5).
std::string id_of(const root::Tree& tree) {
  Variables variables;
  for (const std::string path : {"/usr/lib/os-release", "/etc/os-release"}) {
    evaluate(tree.text(path).value_or(""), variables);
  }
  return value_of(variables, "ID");
}

}  // namespace

Result<> refuse_declared(const root::Tree& tree, const std::string& reservation) {
  const std::string id = id_of(tree);
  if (id == "nixos" || tree.root().exists("/etc/NIXOS")) {
    return fail(Errc::denied,
                "this is NixOS: import examples/nixos/vmcore-guest.nix in its configuration, or "
                "set boot.kernelParams = [ \"{}\" ] and add a service that runs `vmcore-guest "
                "load`. Nothing was changed",
                reservation);
  }
  if (id == "guix") {
    return fail(Errc::denied,
                "this is Guix System: in its operating-system, add \"{}\" to kernel-arguments, and "
                "a shepherd service that runs `vmcore-guest load`. Nothing was changed",
                reservation);
  }
  if (tree.root().exists("/run/ostree-booted") || tree.root().exists("/ostree/repo")) {
    return fail(Errc::denied,
                "this system is deployed by ostree: run `rpm-ostree kargs --append-if-missing={0}` "
                "(bootc: kargs = [\"{0}\"] in /usr/lib/bootc/kargs.d/vmcore-guest.toml of the "
                "image), and add a service that runs `vmcore-guest load`. Nothing was changed",
                reservation);
  }
  return {};
}

}  // namespace vmcore::guest::setup
