#!/usr/bin/python3
"""virtqemud, libvirt's daemon for QEMU alone. Debian makes it and ships it in no package up to sid (debian/not-installed
of its libvirt), so it is compiled here, of the source of the libvirt that is installed: the daemon is seven files that
use libvirt's own libraries and QEMU driver. `virtqemud.py` makes it and prints where it is.
"""

import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir, lock, new_folder
from guests.debian import Suite, run

SUITE, VERSION, INSTALLED = "bookworm", "9.0.0", "libvirt.so.0.9000.0"
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
LINKED = ("libvirt.so.0", "libvirt-qemu.so.0", "libvirt-lxc.so.0", "libglib-2.0.so.0", "libgobject-2.0.so.0",
          "libgio-2.0.so.0", "libtirpc.so.3")
HEADERS = ("libglib2.0-dev", "libgnutls28-dev", "libicu-dev", "libtirpc-dev", "libxml2-dev", "rpcsvc-proto")
INCLUDED = ("usr/include", "usr/include/glib-2.0", "usr/lib/x86_64-linux-gnu/glib-2.0/include", "usr/include/libxml2",
            "usr/include/tirpc")
SOURCES = ("remote/remote_daemon.c", "remote/remote_daemon_config.c", "remote/remote_daemon_dispatch.c",
           "remote/remote_daemon_stream.c", "admin/admin_server.c", "admin/admin_server_dispatch.c",
           "admin/admin_protocol.c")

# What libvirt's meson would find out, as far as these files ask.
CONFIG = f"""#pragma once
#define _GNU_SOURCE 1
#define GLIB_VERSION_MIN_REQUIRED GLIB_VERSION_2_56
#define GLIB_VERSION_MAX_ALLOWED GLIB_VERSION_2_56
#define PACKAGE "libvirt"
#define PACKAGE_NAME "libvirt"
#define PACKAGE_VERSION "{VERSION}"
#define VERSION "{VERSION}"
#define TLS_PRIORITY "NORMAL"
#define WITH_GETEGID 1
#define WITH_GETEUID 1
#define WITH_GETGID 1
#define WITH_GETUID 1
#define WITH_QEMU 1
#define WITH_REMOTE 1
#define WITH_SYSLOG_H 1
"""
PLACES = """#define LIBDIR "/usr/lib/x86_64-linux-gnu"
#define LOCALEDIR "/usr/share/locale"
#define LOCALSTATEDIR "/var"
#define RUNSTATEDIR "/run"
#define SBINDIR "/usr/sbin"
#define SYSCONFDIR "/etc"
"""


def available() -> bool:
    """Whether the installed libvirt is the one that this is made for."""
    return (LIBRARIES / INSTALLED).exists()


def program() -> Path:
    folder = cache_dir("peers") / f"virtqemud-{VERSION}"
    with lock(f"peer-{folder.name}"):
        if not folder.exists():
            with new_folder(folder) as partial:
                make(partial)
    return folder / "virtqemud"


def make(folder: Path) -> None:
    suite, root = Suite(SUITE), folder / "root"
    for package in HEADERS:
        suite.fetch(package, root)
    Suite(SUITE, "deb-src").fetch_source("libvirt", folder)
    run(["tar", "-xf", next(folder.glob("*.orig.tar.xz")), "--strip-components=1", "-C", folder])
    generate(folder / "src", root)
    (folder / "meson-config.h").write_text(CONFIG)
    (folder / "configmake.h").write_text(PLACES)
    parts = ("", "include", "src", *(f"src/{part}" for part in ("access", "admin", "conf", "remote", "rpc", "util")))
    run(["gcc", "-O1", "-w", "-std=gnu99", "-fPIE", "-pie", "-DIN_LIBVIRT", '-DDAEMON_NAME="virtqemud"', '-DMODULE_NAME="qemu"',
         f'-Dabs_top_builddir="{folder}"', f'-Dabs_top_srcdir="{folder}"',
         *(f"-I{folder / part}" for part in parts), *(f"-I{root / part}" for part in INCLUDED),
         *(folder / "src" / name for name in SOURCES), *(LIBRARIES / name for name in LINKED),
         "-Wl,--allow-shlib-undefined", "-o", folder / "virtqemud"])
    for rest in folder.iterdir():
        if rest.is_dir():
            shutil.rmtree(rest)
        elif rest.name != "virtqemud":
            rest.unlink()


def generate(source: Path, root: Path) -> None:
    """The protocol's types and the daemon's side of each call, out of its descriptions."""
    def types(name: str, kind: str) -> None:
        run(["perl", source / "rpc/genprotocol.pl", root / "usr/bin/rpcgen", f"-{kind}", source / f"{name}.x",
             source / f"{name}.{kind}"])

    def calls(name: str, mode: str, target: str) -> None:
        word = Path(name).name
        (source / target).write_text(run(["perl", source / "rpc/gendispatch.pl", f"--mode={mode}", word, word.upper(),
                                          source / f"{name}_protocol.x"]))

    for name in ("rpc/virnetprotocol", "remote/remote_protocol", "remote/qemu_protocol", "remote/lxc_protocol",
                 "admin/admin_protocol"):
        types(name, "h")
    types("admin/admin_protocol", "c")
    for name in ("remote/remote", "remote/qemu", "remote/lxc"):
        calls(name, "server", f"{name}_daemon_dispatch_stubs.h")
    calls("admin/admin", "server", "admin/admin_server_dispatch_stubs.h")
    calls("remote/remote", "aclheader", "access/viraccessapicheck.h")
    calls("remote/qemu", "aclheader", "access/viraccessapicheckqemu.h")


if __name__ == "__main__":
    print(program())
