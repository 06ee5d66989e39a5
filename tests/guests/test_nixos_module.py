#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The NixOS module of examples/, by Debian's nix: it is parsed, and evaluated with the few functions of nixpkgs that it calls (the
rest of nixpkgs is not in Debian). Its service is the unit that `setup` writes elsewhere."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir, lock, new_folder
from guests.capture_rig import vmcore_guest
from guests.debian import Suite, run
from guests.debian_root import command, written_tree
from guests.harness import run_test

MODULE = Path(__file__).resolve().parents[2] / "examples/nixos/vmcore-guest.nix"
PROGRAM = "/usr/sbin/vmcore-guest"
EVALUATED = """let
  lib = {
    mkIf = condition: content: assert condition; content;
    mkEnableOption = text: { };
    mkOption = option: assert option ? type && option ? description; option;
    types = { str = "str"; lines = "lines"; };
  };
  module = import MODULE {
    inherit lib;
    config.services.vmcore-guest = { enable = true; program = "PROGRAM"; crashkernel = "160M"; settings = "target = port\\n"; };
    config.systemd.package = "/systemd";
  };
in module.config // { options = builtins.attrNames module.options.services.vmcore-guest; }
"""


def nix(*words) -> str:
    folder = cache_dir("peers") / "nix"
    with lock("nix"):
        if not folder.exists():
            with new_folder(folder) as partial:
                Suite("bookworm").fetch_with_dependencies(partial, "nix-bin")
    libraries = {str(path.parent) for path in folder.rglob("*.so*")}
    loader = next(folder.rglob("ld-linux-x86-64.so.2"))
    with tempfile.TemporaryDirectory() as store:
        places = {f"NIX_{name}": f"{store}/{name}" for name in ("STORE_DIR", "STATE_DIR", "LOG_DIR", "CONF_DIR", "LOCALSTATE_DIR")}
        return run([loader, "--library-path", ":".join(sorted(libraries)), folder / "usr/bin/nix", "--extra-experimental-features",
                    "nix-command", *words], env={**os.environ, **places, "HOME": store})


def unit_of_setup() -> str:
    with written_tree({PROGRAM: "", "/usr/lib/systemd/systemd": ""}) as tree:
        command(vmcore_guest(), "setup", "--root", tree.folder)
        return tree.read("/etc/systemd/system/vmcore-guest.service")


def test(_vmcorectl, _guests: list, findings) -> None:
    text = EVALUATED.replace("MODULE", str(MODULE)).replace("PROGRAM", PROGRAM)
    made = json.loads(nix("eval", "--impure", "--json", "--expr", text))
    findings.check("options", [] if made["options"] == ["crashkernel", "enable", "program", "settings"] else [str(made["options"])])
    findings.check("reservation", [] if made["boot"]["kernelParams"] == ["crashkernel=160M"] else [str(made["boot"])])
    conf = made["environment"]["etc"]["vmcore-guest.conf"]["text"]
    findings.check("configuration", [] if conf == "version = 1\ntarget = port\n" else [conf])
    service, unit = made["systemd"]["services"]["vmcore-guest"], unit_of_setup()
    for key, value in {**service["serviceConfig"], **service["unitConfig"], "After": " ".join(service["after"]),
                       "Before": " ".join(service["before"]), "WantedBy": " ".join(service["wantedBy"])}.items():
        values = value if isinstance(value, list) else [{True: "yes", False: "no"}.get(value, value)]
        lines = re.findall(rf"^{key}=(.*)$", unit, re.M)
        findings.check(f"the unit of setup: {key}", [] if lines == values else [f"{lines} in the unit, {values} in the module"])


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
