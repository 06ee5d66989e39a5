#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""debuginfo finds what Debian's debug packages have of a guest's kernel: installed, in the package, on a debuginfod server of
loopback; it refuses what is of another kernel. debug opens the dumps with it in crash and drgn, many at once.

"Installed" is a bind mount over /usr/lib/debug in a mount namespace: nothing is installed.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crash_dumps
from guests.harness import run_test, scratch_folder
from guests.kernels import fetch_debug_package, fetch_debuginfo, kernel
from peers import schemas, tools

KERNELS = {"6.1": "6.12", "6.12": "6.1"}    # and another one, whose vmlinux is wrong
SYMBOLS_OF = ("6.1", "6.12", "newest")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "analysis"
PATIENCE = 900


def build_id_of(path: Path) -> str:
    return re.search(r"Build ID: ([0-9a-f]+)", subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout)[1]


class Rig:
    """vmcorectl with a home of its own, and analyzers in its PATH."""

    def __init__(self, vmcorectl, folder: Path):
        self.vmcorectl, self.folder = vmcorectl.path, folder
        (folder / "bin").mkdir()
        for name, peer, words in (("crash", "crash", ()), ("crash-8.0.2", "crash-bookworm", ()), ("drgn", "drgn-trixie", ("-m", "drgn"))):
            # Below its own folder: a confined program sees no more of this one's user.
            own = folder / "bin" / f"root-{peer}"
            subprocess.run(["cp", "-al", tools.root(peer), own], check=True)
            known = {key: value for key, value in tools.environment(peer).items() if key.startswith("PYTHON") or key in ("TERM", "LC_ALL")}
            settings = " ".join(f"{key}={value}" for key, value in known.items())
            program = folder / "bin" / name
            text = f'#!/bin/sh\nexec env {settings} {" ".join([*tools.command(peer), *words])} "$@"\n'
            program.write_text(text.replace(str(tools.root(peer)), str(own)))
            program.chmod(0o755)

    def run(self, *words, home="home", before=(), **variables) -> subprocess.CompletedProcess:
        known = {key: value for key, value in os.environ.items() if not key.startswith(("DEBUGINFOD", "XDG_"))}
        return subprocess.run([*before, self.vmcorectl, *map(str, words)], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=3600,
                              env={**known, "PATH": f"{self.folder}/bin:{known['PATH']}", "HOME": str(self.folder / home), **variables})

    def document(self, *words, **more) -> dict:
        begin = time.monotonic()
        done = self.run(*words, "--output", "json", **more)
        print(f"{' '.join(map(str, words))}: exit {done.returncode}, {time.monotonic() - begin:.1f} s", flush=True)
        document = json.loads(done.stdout)
        schemas.check(document)
        return {"vmlinux": None, "modules": None, "refused": [], "remarks": [document.get("error")], **document, "exit": done.returncode}


def wrong_in(found: dict, build_id: str, source: str) -> list:
    """What is not as it is when all is found."""
    vmlinux, modules = found["vmlinux"] or {}, found["modules"] or {"found": [], "missing": ["all"]}
    wrong = [] if found["exit"] == 0 else [f"exit {found['exit']}: {found['refused']} {found['remarks']}"]
    if (vmlinux.get("build_id"), vmlinux.get("matched_by"), vmlinux.get("source")) != (build_id, "build-id", source):
        wrong.append(f"vmlinux: {vmlinux}")
    elif build_id_of(Path(vmlinux["path"])) != build_id:
        wrong.append(f"{vmlinux['path']} is another file")
    by = {module["file"]["matched_by"] for module in modules["found"]}
    if by != {"build-id"} or modules["missing"] or len(modules["found"]) < 5:
        wrong.append(f"modules by {by}: {[each['name'] for each in modules['found']]}, missing {modules['missing']}")
    return wrong


@contextlib.contextmanager
def debuginfod(tree: Path, folder: Path, build_id: str):
    """The address of a server of the files in the tree that knows the build-id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(["debuginfod", "-F", "-p", str(port), "-d", folder / "server.sqlite", tree], stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{url}/buildid/{build_id}/debuginfo", timeout=60).close()
                break
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                if time.monotonic() > until or server.poll() is not None:
                    raise RuntimeError(f"debuginfod does not know the kernel: {(folder / 'server.log').read_text()[-2000:]}") from None
                time.sleep(1)
        yield url
    finally:
        server.kill()
        server.wait()


def find_it(rig: Rig, name: str, findings) -> None:
    """All ways to the debug information of one kernel."""
    of, dump = kernel(name), crash_dumps.dump_of(name, "sysrq").raw
    package, build_id = fetch_debug_package(of), build_id_of(fetch_debuginfo(of))

    found = rig.document("debuginfo", dump)
    advice = found["advice"] or {}
    findings.check(f"{name}: nothing is there", [] if (found["exit"], found["vmlinux"], advice.get("package")) ==
                   (1, None, f"linux-image-{of.release}-dbg") else [f"{found['exit']} {found['vmlinux']} {advice}"])

    found = rig.document("debuginfo", dump, "--from", package)
    findings.check(f"{name}: from the package", wrong_in(found, build_id, "given"))
    cache = rig.folder / "home/.cache/vmcorectl/symbols" / build_id
    kept = sorted(path.name for path in cache.iterdir())
    wanted = sorted(["vmlinux", *(f"{module['name']}.ko.debug" for module in found["modules"]["found"])])
    findings.check(f"{name}: nothing else is unpacked", [] if kept == wanted else [f"{kept}, wanted {wanted}"])
    findings.check(f"{name}: from the cache", wrong_in(rig.document("debuginfo", dump), build_id, "cache"))

    wrong = rig.document("debuginfo", dump, "--from", fetch_debuginfo(kernel(KERNELS[name])), home="empty")
    why = wrong["refused"][0]["why"] if wrong["refused"] else ""
    findings.check(f"{name}: a wrong vmlinux", [] if wrong["exit"] == 1 and kernel(KERNELS[name]).release in why and of.release in why
                   else [f"exit {wrong['exit']}: {why}"])
    image = rig.document("debuginfo", dump, "--from", of.image, home="empty")
    findings.check(f"{name}: a vmlinuz", [] if image["refused"] and f"is vmlinuz of kernel {of.release}" in image["refused"][0]["why"]
                   else [str(image["refused"])])

    tree = rig.folder / f"tree-{name}"      # as the package would have it installed
    boot, modules = tree / "usr/lib/debug/boot", tree / f"usr/lib/debug/lib/modules/{of.release}/kernel"
    for path in (boot, modules):
        path.mkdir(parents=True)
    os.link(cache / "vmlinux", boot / f"vmlinux-{of.release}")
    for path in cache.glob("*.ko.debug"):
        os.link(path, modules / path.name.removesuffix(".debug"))
    with_tree = ("unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", 'mount --bind "$0" /usr/lib/debug && exec "$@"', tree / "usr/lib/debug")
    installed = rig.document("debuginfo", dump, home="empty", before=with_tree)
    installed_ids = [*wrong_in({**installed, "vmlinux": installed["vmlinux"] and {**installed["vmlinux"], "path": str(fetch_debuginfo(of))}},
                               build_id, "installed")]
    findings.check(f"{name}: installed", installed_ids)

    if shutil.which("debuginfod"):
        with debuginfod(tree, rig.folder, build_id) as url:
            fetched = rig.document("debuginfo", dump, "--fetch", home=f"fetched-{name}", DEBUGINFOD_URLS=url)
        findings.check(f"{name}: from debuginfod", wrong_in(fetched, build_id, "debuginfod"))
        (rig.folder / "server.sqlite").unlink()
    else:
        findings.skip(f"{name}: from debuginfod", "debuginfod is not installed")


def dead_server(rig: Rig, findings) -> None:
    dump = crash_dumps.dump_of("6.1", "sysrq").raw
    begin = time.monotonic()
    rig.document("debuginfo", dump, home="empty")
    without = time.monotonic() - begin
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        found = rig.document("debuginfo", dump, "--fetch", home="empty",
                             DEBUGINFOD_URLS=f"http://127.0.0.1:{silent.getsockname()[1]}")
    more = time.monotonic() - begin - without
    print(f"a dead server costs {more:.1f} s", flush=True)
    told = any("does not answer" in remark["text"] for remark in found["remarks"])
    findings.check("a dead server", [] if told and more < 15 else [f"{more:.1f} s: {found['remarks']}"])


def many(rig: Rig, findings) -> None:
    """Two dumps with symbols, one without, one that is cut, one that is none."""
    for name, (of, way) in {"one": ("6.12", "sysrq"), "two": ("6.12", "null"), "strange": ("6.1", "sysrq")}.items():
        done = rig.run("convert", crash_dumps.dump_of(of, way).raw, f"{name}.vmcore")
        findings.check(f"convert {name}", [] if done.returncode == 0 else [done.stderr])
    whole = (rig.folder / "one.vmcore").read_bytes()
    (rig.folder / "cut.vmcore").write_bytes(whole[:len(whole) * 3 // 4])
    (rig.folder / "none.vmcore").write_bytes(b"damaged" * 1000)
    symbols = rig.folder / "only-6.12"
    symbols.mkdir()
    cache = rig.folder / "home/.cache/vmcorectl/symbols" / build_id_of(fetch_debuginfo(kernel("6.12")))
    os.symlink(cache, symbols / cache.name)
    dumps = [f"{name}.vmcore" for name in ("one", "two", "strange", "cut", "none")]
    for script, version in (("first-look.crash", "crash 8.0.6"), ("first-look.py", "drgn 0.0.31")):
        done = rig.document("debug", "--run", EXAMPLES / script, "--cache", symbols, "--jobs", "2", *dumps)
        outcomes = {run["dump"]: run["outcome"] for run in done["runs"]}
        print(json.dumps(done["runs"], indent=1), flush=True)
        wanted = {"one.vmcore": "done", "two.vmcore": "done", "strange.vmcore": "no symbols", "none.vmcore": "unreadable"}
        wrong = [f"{name}: {outcomes[name]}" for name, outcome in wanted.items() if outcomes[name] != outcome]
        wrong += [] if done["exit"] == 3 else [f"exit {done['exit']}"]
        wrong += [f"{run['dump']} by {run['with']}" for run in done["runs"] if run["result"] and run["with"] != version]
        text = (rig.folder / "one.vmcore.first-look.txt").read_text(errors="replace")
        wrong += [f"no {word} in:\n{text[:3000]}" for word in ("sysrq_handle_crash", "Kernel panic - not syncing") if word not in text]
        findings.check(f"{script} over five dumps", wrong)


def scripts(rig: Rig, findings) -> None:
    """Each example says something in all of its sections, for both kernels and both analyzers."""
    for name in KERNELS:
        dump = crash_dumps.dump_of(name, "sysrq").raw
        for script in sorted(EXAMPLES.glob("*.*")):
            if script.suffix not in (".crash", ".py"):
                continue
            (rig.folder / "results").mkdir(exist_ok=True)
            (run,) = rig.document("debug", "--run", script, "--results", "results", dump)["runs"]
            text = (rig.folder / (run["result"] or os.devnull)).read_text(errors="replace")
            wrong = [] if run["outcome"] == "done" else [f"{run['outcome']}: {run['why']}\n{text[-2000:]}"]
            wrong += [line for line in text.splitlines() if line.startswith("not known: ") or "invalid command" in line]
            wrong += [] if text.count("== ") >= 1 else [f"it says {text[:500]}"]
            findings.check(f"{name}: {script.name}", wrong)


# What a confined script may do: nothing of this.
PROBE = """import os, socket
def attempt(name, do):
    try:
        do()
        print("could", name)
    except (OSError, RuntimeError) as error:
        print("could not", name, type(error).__name__)
attempt("write the dump", lambda: open("{dump}", "r+b"))
attempt("read another file", lambda: open("{other}", "rb"))
attempt("read /etc/passwd", lambda: open("/etc/passwd"))
attempt("write beside it", lambda: open("{dump}.new", "w"))
attempt("make a socket", lambda: socket.socket())
print("own user", os.getuid() != {user} or {user} != 0, "first process", os.getpid() == 1)
print("release", prog["init_uts_ns"].name.release.string_().decode())
"""


def self_check(rig: Rig, findings) -> None:
    """A dump that is written opens in crash and drgn without rights; what does not open is told."""
    of = kernel("6.12")
    done = rig.document("convert", crash_dumps.dump_of("6.12", "sysrq").raw, "checked.vmcore", "--self-check")
    check = done["self_check"]
    print(json.dumps(check, indent=1), flush=True)
    outcomes = {each["with"].split()[0]: each["outcome"] for each in check["programs"]}
    wanted = {"vmcorectl": "done", "crash": "done", "drgn": "done"}
    findings.check("convert --self-check", [] if (done["exit"], check["passed"], outcomes) == (0, True, wanted) else [str(check)])

    done = rig.document("debug", "--self-check", "checked.vmcore", home="empty")
    outcomes = {run["with"].split()[0]: run["outcome"] for run in done["runs"]}
    wanted = {"vmcorectl": "done", "crash": "not tried", "drgn": "not tried"}
    findings.check("--self-check without vmlinux", [] if (done["exit"], outcomes) == (0, wanted) else [str(done["runs"])])

    done = rig.document("debug", "--self-check", "none.vmcore")
    findings.check("--self-check of no dump", [] if (done["exit"], done["runs"][0]["outcome"]) == (3, "failed") else [str(done["runs"])])

    probe = rig.folder / "probe.py"
    probe.write_text(PROBE.format(dump=rig.folder / "checked.vmcore", other=rig.folder / "one.vmcore", user=os.getuid()))
    (run,) = rig.document("debug", "--run", probe, "--confined", rig.folder / "checked.vmcore")["runs"]
    said = Path(run["result"] or os.devnull).read_text()
    print(said, flush=True)
    wrong = [line for line in said.splitlines() if line.startswith("could ") and not line.startswith("could not ")]
    wrong += [] if f"release {of.release}" in said and "own user True first process True" in said and said.count("could not ") == 5 else [said]
    findings.check("a confined script", wrong)


def addr2line(of, addresses: list) -> list:
    """For each address of vmlinux the chain of (function, file, line)."""
    done = subprocess.run(["addr2line", "-i", "-f", "-e", fetch_debuginfo(of), *(hex(each) for each in addresses)], capture_output=True, text=True,
                          check=True, timeout=600)
    lines = iter(done.stdout.splitlines())
    return list(zip(lines, lines))


def file_line(text: str) -> tuple:
    """What both name of "/build/linux/kernel/panic.c:12 (discriminator 3)": the file alone, and the line."""
    path, _, line = text.split(" ")[0].rpartition(":")
    return Path(path).name, line


def symbols(rig: Rig, findings) -> None:
    """report --symbols beside addr2line -i, for each frame of vmlinux on the stack of the task that crashed."""
    for name in SYMBOLS_OF:
        of = kernel(name)
        for way in ("sysrq", "null"):
            dump = crash_dumps.dump_of(name, way).raw
            report = rig.document("report", "--symbols", "--from", fetch_debuginfo(of), dump)
            kaslr = rig.document("info", dump)["kernel"]["kaslr_offset"]
            kaslr = int(kaslr, 16) if isinstance(kaslr, str) else kaslr
            stack = report["panic"].get("stack")
            if stack is None:
                stack = next(cpu["stack"] for cpu in report["cpus"]["list"] if cpu["number"] == report["panic"]["cpu"])
            wrong, count, inlined = [], 0, 0
            for frame in report["stacks"][stack]["frames"]:
                if "module" in frame or "function" not in frame:
                    continue
                at = int(frame["address"], 16) - kaslr - (0 if frame.get("exact") else 1)
                theirs = [(function, *file_line(place)) for function, place in addr2line(of, [at])]
                ours = [(line["function"], *file_line(f"{line['file']}:{line['line']}")) for line in frame.get("lines", [])]
                count, inlined = count + 1, inlined + max(0, len(ours) - 1)
                # The linker's name of a part of a function is no name in DWARF.
                wrong += [] if ours == theirs or (not ours and theirs[0][1] == "??") else [f"{frame['function']}: {ours}, addr2line {theirs}"]
            arguments = [frame["arguments"] for stack in report["stacks"] for frame in stack["frames"] if "arguments" in frame]
            print(f"{name} {way}: {count} frames, {inlined} inlined, {len(wrong)} unlike addr2line; arguments {arguments}", flush=True)
            findings.check(f"{name} {way}: lines", wrong if count > 5 else [*wrong, f"only {count} frames"])


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as folder:
        rig = Rig(vmcorectl, Path(folder))
        for name in KERNELS:
            find_it(rig, name, findings)
        dead_server(rig, findings)
        many(rig, findings)
        self_check(rig, findings)
        symbols(rig, findings)
        scripts(rig, findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
