#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""debuginfo finds what Debian's debug packages have of a guest's kernel: installed, in the package, on a debuginfod server of
loopback; it refuses what is of another kernel; dead servers cost little. debug opens dumps with it in crash and drgn, ten at once.

    VMCORECTL_PARTS="6.1 dead"      these parts: kernels (a package of a GB each), dead, ten, self_check, scripts, domain, live

"Installed" is a bind mount over /usr/lib/debug in a mount namespace: nothing is installed.
"""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import analyzers, crash_dumps
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.kernels import fetch_debug_package, fetch_debuginfo, kernel
from guests.libvirt_rig import LibvirtRig, available, daemon_program
from peers import schemas

KERNELS = {"6.1": "6.12", "6.12": "6.1", "newest": "6.12"}      # and another one, whose vmlinux is wrong
# What opens a dump of it, and the folder of these: crash 8.0.6 does not read 7.x, nor does drgn 0.0.31.
OPENED_BY = {"6.1": (".crash", ".py"), "6.12": (".crash", ".py"), "newest": (".py",)}
BIN = {"6.1": "bin", "6.12": "bin", "newest": "bin-newest"}
SERVER_COSTS = 5        # seconds, at most
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "analysis"
PATIENCE = 900
PROMPT_PATIENCE = 120


def build_id_of(path: Path) -> str:
    return re.search(r"Build ID: ([0-9a-f]+)", subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout)[1]


class Rig:
    """vmcorectl with a home of its own, and analyzers in its PATH."""

    def __init__(self, vmcorectl, folder: Path):
        self.vmcorectl, self.folder = vmcorectl.path, folder
        analyzers.install(folder / "bin", ("crash", "crash-8.0.2", "drgn"))
        analyzers.install(folder / "bin-newest", ("drgn-0.2.0",))

    def know(self, name: str, home: str = "home") -> Path:
        """Puts the vmlinux of a kernel into the cache; the cache's folder for it."""
        vmlinux = fetch_debuginfo(kernel(name))
        cache = self.folder / home / ".cache/vmcorectl/symbols" / build_id_of(vmlinux)
        cache.mkdir(parents=True, exist_ok=True)
        if not (cache / "vmlinux").exists():
            os.link(vmlinux, cache / "vmlinux")
        return cache

    def run(self, *words, home="home", before=(), path="bin", **variables) -> subprocess.CompletedProcess:
        known = {key: value for key, value in os.environ.items() if not key.startswith(("DEBUGINFOD", "XDG_"))}
        return subprocess.run([*before, self.vmcorectl, *map(str, words)], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=3600,
                              env={**known, "PATH": f"{self.folder}/{path}:{known['PATH']}", "HOME": str(self.folder / home), **variables})

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
    of, dump, home = kernel(name), crash_dumps.dump_of(name, "sysrq").raw, f"home-{name}"
    package, build_id = fetch_debug_package(of), build_id_of(fetch_debuginfo(of))

    found = rig.document("debuginfo", dump, home=home)
    advice = found["advice"] or {}
    findings.check(f"{name}: nothing is there", [] if (found["exit"], found["vmlinux"], advice.get("package")) ==
                   (1, None, f"linux-image-{of.release}-dbg") else [f"{found['exit']} {found['vmlinux']} {advice}"])

    found = rig.document("debuginfo", dump, "--from", package, home=home)
    findings.check(f"{name}: from the package", wrong_in(found, build_id, "given"))
    cache = rig.folder / home / ".cache/vmcorectl/symbols" / build_id
    kept = sorted(path.name for path in cache.iterdir())
    wanted = sorted(["vmlinux", *(f"{module['name']}.ko.debug" for module in found["modules"]["found"])])
    findings.check(f"{name}: nothing else is unpacked", [] if kept == wanted else [f"{kept}, wanted {wanted}"])
    findings.check(f"{name}: from the cache", wrong_in(rig.document("debuginfo", dump, home=home), build_id, "cache"))

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


# --- servers that are dead ---

@contextlib.contextmanager
def server(answer):
    """The address of a server that does `answer(connection)` with each caller, in a thread of its own."""
    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def trickle(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 O")
        while True:
            connection.sendall(b"K")
            time.sleep(0.2)


def stall(connection: socket.socket, sent: bytes = b"") -> None:
    """It lives, and never has the file, or no more of it than what is sent."""
    asked = connection.recv(4096)
    if b"/metrics" in asked:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    else:
        connection.sendall(sent)
        say_nothing(connection)


def stop_in_the_middle(connection: socket.socket) -> None:
    stall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 600000000\r\n\r\n" + bytes(100000))


# Inside: a name server that never answers, and no other.
DEAF = """ip link set lo up; mount --bind "$0" /etc/resolv.conf
python3 -c 'import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 53)); time.sleep(600)' &
sleep 1; begin=$(date +%s%N); "$@"; code=$?; echo $(( $(date +%s%N) - begin )) > "$0.took"; kill $!; exit $code"""


def cost(rig: Rig, dump: Path, without: float, url: str, before=()) -> tuple:
    """The least of three times is what vmcorectl waits; the rest is the machine's. And what was told."""
    least = float("inf")
    for _ in range(3):
        begin = time.monotonic()
        found = rig.document("debuginfo", dump, "--fetch", home="empty", before=before, DEBUGINFOD_URLS=url)
        took = time.monotonic() - begin
        if before:
            took = int((rig.folder / "resolv.conf.took").read_text()) / 1e9
        least = min(least, took - without)
        if least < SERVER_COSTS:
            break
    return least, [remark["text"] for remark in found["remarks"]]


def dead(rig: Rig, findings) -> None:
    dump, times = crash_dumps.dump_of("6.1", "sysrq").raw, []
    for _ in range(3):
        begin = time.monotonic()
        rig.document("debuginfo", dump, home="empty")
        times.append(time.monotonic() - begin)
    without = min(times)
    (rig.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    deaf = ("unshare", *(["-nm"] if os.geteuid() == 0 else ["-rnm"]), "sh", "-c", DEAF, rig.folder / "resolv.conf")
    with server(say_nothing) as silent, server(trickle) as slow:
        for what, url, before in (("refuses", "http://127.0.0.1:1", ()), ("is silent", silent, ()), ("trickles", slow, ()),
                                  ("are three that are dead", f"{silent} {slow} http://127.0.0.1:1", ()),
                                  ("has a name that no name server tells", "http://debuginfod.invalid", deaf)):
            least, told = cost(rig, dump, without, url, before)
            print(f"a server that {what} costs {least:.1f} s: {told}", flush=True)
            findings.check(f"a server that {what}", [] if least < SERVER_COSTS and sum("does not answer" in text for text in told) == len(url.split())
                           else [f"{least:.1f} s: {told}"])
    for what, does, seconds, told, variables in (
            ("stalls", stall, 3, "has sent nothing of it within 3 s", {"DEBUGINFOD_TIMEOUT": "3"}),
            ("stops in the middle", stop_in_the_middle, 15, "sent 100000 bytes of it, and then nothing for 15 s", {})):
        with server(does) as url:
            begin = time.monotonic()
            found = rig.document("debuginfo", dump, "--fetch", home="empty", DEBUGINFOD_URLS=url, **variables)
            took = time.monotonic() - begin - without
            print(f"a server that {what}, {variables}: {took:.1f} s: {found['remarks']}", flush=True)
            findings.check(f"a server that {what}", [] if any(told in remark["text"] for remark in found["remarks"]) and took < seconds + SERVER_COSTS
                           else [f"{took:.1f} s: {found['remarks']}"])


# --- analyzers ---

def ten(rig: Rig, findings) -> None:
    """Ten files, at once and one after another: seven dumps with symbols, one without, a cut dump, and no dump."""
    for name, (of, way) in {"a1": ("6.12", "sysrq"), "b1": ("6.12", "null"), "strange": ("6.1", "sysrq")}.items():
        done = rig.run("convert", crash_dumps.dump_of(of, way).raw, f"{name}.vmcore")
        findings.check(f"convert {name}", [] if done.returncode == 0 else [done.stderr])
    for name in ("a2", "a3", "a4", "b2", "b3"):
        os.link(rig.folder / f"{name[0]}1.vmcore", rig.folder / f"{name}.vmcore")
    whole = (rig.folder / "a1.vmcore").read_bytes()
    (rig.folder / "cut.vmcore").write_bytes(whole[:len(whole) * 3 // 4])
    (rig.folder / "none.vmcore").write_bytes(b"damaged" * 1000)
    symbols = rig.know("6.12", home="only-6.12").parent
    dumps = [f"{name}.vmcore" for name in ("a1", "a2", "a3", "a4", "b1", "b2", "b3", "cut", "none", "strange")]
    wanted = {**{name: "done" for name in dumps[:7]}, "none.vmcore": "unreadable", "strange.vmcore": "no symbols"}
    for script, version in (("first-look.crash", "crash 8.0.6"), ("first-look.py", "drgn 0.0.31")):
        times = {}
        for jobs in (1, 2, 4):
            begin = time.monotonic()
            done = rig.document("debug", "--run", EXAMPLES / script, "--cache", symbols, "--jobs", jobs, *dumps)
            times[jobs] = time.monotonic() - begin
            outcomes = {run["dump"]: run["outcome"] for run in done["runs"]}
            wrong = [f"{name}: {outcomes[name]}" for name, outcome in wanted.items() if outcomes[name] != outcome]
            wrong += [f"cut.vmcore: {outcomes['cut.vmcore']}"] if outcomes["cut.vmcore"] not in ("done", "failed") else []
            wrong += [] if done["exit"] == 3 else [f"exit {done['exit']}"]
            wrong += [f"{run['dump']} by {run['with']}" for run in done["runs"] if run["result"] and run["with"] != version]
            text = (rig.folder / f"a1.vmcore.{script}.txt").read_text(errors="replace")
            wrong += [f"no {word} in:\n{text[:3000]}" for word in ("sysrq_handle_crash", "Kernel panic - not syncing") if word not in text]
            findings.check(f"{script} over ten dumps, --jobs {jobs}", wrong)
        print(f"{script} over ten dumps: " + ", ".join(f"{jobs} at once {took:.1f} s" for jobs, took in times.items()), flush=True)
    done = rig.run("debug", "--run", EXAMPLES / "first-look.py", "--cache", symbols, *dumps)
    print(f"exit {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
    findings.check("no dump can be opened", [] if rig.run("debug", "--run", EXAMPLES / "first-look.py", "--cache", symbols, "none.vmcore",
                                                         "strange.vmcore").returncode == 1 else ["exit code"])


def scripts(rig: Rig, findings) -> None:
    """Each example says something in all of its sections, for each kernel and each analyzer that reads it."""
    for name in KERNELS:
        rig.know(name)
        dump = crash_dumps.dump_of(name, "sysrq").raw
        for script in sorted(EXAMPLES.glob("*.*")):
            if script.suffix not in OPENED_BY[name]:
                continue
            (rig.folder / "results").mkdir(exist_ok=True)
            (run,) = rig.document("debug", "--run", script, "--results", "results", dump, path=BIN[name])["runs"]
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
    rig.know("6.12")
    (rig.folder / "none.vmcore").write_bytes(b"damaged" * 1000)
    (rig.folder / "other").write_text("of somebody else")
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
    probe.write_text(PROBE.format(dump=rig.folder / "checked.vmcore", other=rig.folder / "other", user=os.getuid()))
    (run,) = rig.document("debug", "--run", probe, "--confined", rig.folder / "checked.vmcore")["runs"]
    said = Path(run["result"] or os.devnull).read_text()
    print(said, flush=True)
    wrong = [line for line in said.splitlines() if line.startswith("could ") and not line.startswith("could not ")]
    wrong += [] if f"release {of.release}" in said and "own user True first process True" in said and said.count("could not ") == 5 else [said]
    findings.check("a confined script", wrong)


def domain(rig: Rig, findings) -> None:
    """As a new user would: from a domain that panicked to a prompt in crash with symbols, in one command."""
    if not available() or not daemon_program("session"):
        findings.skip("debug DOMAIN", "no libvirtd with its QEMU driver")
        return
    with LibvirtRig("session", 512, version="6.12", name="panicked") as host:
        analyzers.install(host.folder / "analyzers", ("crash",))
        cache = host.folder / "home/cache/vmcorectl/symbols" / build_id_of(fetch_debuginfo(kernel("6.12")))
        cache.mkdir(parents=True)
        shutil.copyfile(fetch_debuginfo(kernel("6.12")), cache / "vmlinux")
        host.panic()
        for word in ("panicked", "nobody"):
            begin = time.monotonic()
            done = subprocess.run(host.command(rig.vmcorectl, "debug", "-c", host.uri, word), input="bt\nquit\n", cwd=host.folder / "home",
                                  capture_output=True, text=True, errors="replace", timeout=600,
                                  env={**os.environ, "PATH": f"{host.folder}/analyzers:{os.environ['PATH']}"})
            print(f"debug {word}: exit {done.returncode}, {time.monotonic() - begin:.1f} s\n{done.stdout}\n{done.stderr}", flush=True)
            wrong = ([] if done.returncode == 0 and "sysrq_handle_crash at" in done.stdout else ["no stack"]) if word == "panicked" else (
                [] if done.returncode == 1 and "nobody is taken as a domain" in done.stderr and "crash>" not in done.stdout else ["no error"])
            findings.check(f"debug {word}", wrong)
        findings.check("the guest still stands", [] if host.status() == "guest-panicked" else [host.status()])


LOOK = """import os, time
from drgn.helpers.linux.sched import idle_task
from drgn.helpers.linux.pid import find_task, for_each_task
def attempt(name, do):
    try:
        do()
        print("could", name)
    except (OSError, LookupError) as error:
        print("could not", name, type(error).__name__, error)
print("release", prog["init_uts_ns"].name.release.string_().decode())
print("tasks", [task.comm.string_().decode() for task in for_each_task(prog)])
before = prog["jiffies"].value_()
time.sleep(2)
print("it goes on", prog["jiffies"].value_() > before)
print("stack", prog.stack_trace(2)[-1].name)
attempt("read a stack that runs", lambda: prog.stack_trace(
    next(task for task in [idle_task(prog, 0), idle_task(prog, 1), *for_each_task(prog)] if task.on_cpu)))
attempt("read /etc/shadow", lambda: open("/etc/shadow"))
attempt("write", lambda: open("{folder}/written", "w"))
print("user", os.getuid(), "files", sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else "?", flush=True)
"""
# Reads until the guest has ended.
WAIT = """import time
while True:
    prog["jiffies"].value_()
    time.sleep(0.1)
"""


def seen_by_drgn(of, said: str) -> list:
    wanted = (f"release {of.release}", "'kthreadd'", "it goes on True", "stack ret_from_fork", "could not read a stack that runs")
    return [f"no {each}" for each in wanted if each not in said]


def at_a_prompt(words: list, env: dict, lines: tuple) -> tuple:
    """Runs a program on a terminal, and types lines. Each line is typed when the answer to the line before is there, or after 3 s
    where no answer is given. Returns what the terminal showed, and the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, env)
    said, begin = "", 0
    for line, answer in (("", ">>> "), *lines, ("", "the end")):
        os.write(terminal, line.encode())
        deadline = time.monotonic() + (PROMPT_PATIENCE if answer else 3)
        while (not answer or answer not in said[begin:]) and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                try:
                    said += os.read(terminal, 4096).decode(errors="replace")
                except OSError:     # it has ended
                    break
        begin = len(said)
    os.kill(pid, signal.SIGKILL)    # or it has ended
    os.close(terminal)
    return said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def live(rig: Rig, findings) -> None:
    """drgn on the memory of guests that go on: of a QEMU with private and one with shared memory, and of a domain."""
    script, wait = rig.folder / "look.py", rig.folder / "wait.py"
    script.write_text(LOOK.replace("{folder}", str(rig.folder)))
    wait.write_text(WAIT)
    for name, backend in (("6.1", "ram"), ("6.12", "memfd"), ("newest", "ram")):
        rig.know(name)
        with Guest(Config(f"live-{name}", kernel=name, memory_mib=512, backend=backend)) as guest:
            what = f"debug --live, {name}, {backend}"
            begin = time.monotonic()
            done = rig.run("debug", "--live", "--qmp", guest.qmp_socket, "--", script, path=BIN[name])
            print(f"{what}: exit {done.returncode}, {time.monotonic() - begin:.1f} s\n{done.stdout}{done.stderr}", flush=True)
            wrong = seen_by_drgn(guest.kernel, done.stdout) + ([] if done.returncode == 0 else [f"exit {done.returncode}: {done.stderr}"])
            if os.geteuid() == 0:
                wrong += [] if "user 0" not in done.stdout and done.stdout.count("could not ") == 3 else [f"it has rights: {done.stdout}"]
            findings.check(what, wrong)
            if name == "6.12":
                env = {**os.environ, "PATH": f"{rig.folder}/bin:{os.environ['PATH']}", "HOME": str(rig.folder / "home"), "TERM": "xterm"}
                said, code = at_a_prompt([str(rig.vmcorectl), "debug", "--live", "--qmp", str(guest.qmp_socket)], env,
                                         (('prog["init_uts_ns"].name.release\r', guest.kernel.release), ("while True: pass\r\r", ""),
                                          ("\x03", "KeyboardInterrupt"), ("exit()\r", "")))
                print(said, flush=True)
                findings.check("a prompt", [] if code == 0 and "not paused" in said and "KeyboardInterrupt" in said else [f"exit {code}", said])
            with subprocess.Popen([rig.vmcorectl, "debug", "--live", "--qmp", guest.qmp_socket, "--", wait], text=True, stderr=subprocess.PIPE,
                                  env={**os.environ, "PATH": f"{rig.folder}/{BIN[name]}:{os.environ['PATH']}", "HOME": str(rig.folder / "home")}) as looks:
                time.sleep(6)
                alive = (looks.poll(), guest.status())      # its monitor is free, and it runs
                guest.process.kill()
                said = looks.stderr.read()
            findings.check(f"{what}: it ends", [] if alive == (None, "running") and looks.returncode == 1 and "the guest has ended" in said
                           else [f"{alive}, exit {looks.returncode}: {said}"])
    if not available() or not daemon_program("session"):
        findings.skip("debug --live DOMAIN", "no libvirtd with its QEMU driver")
        return
    of = kernel("6.12")
    with LibvirtRig("session", 512, version="6.12", name="living") as host:
        analyzers.install(host.folder / "analyzers", ("drgn",))
        cache = host.folder / "home/cache/vmcorectl/symbols" / build_id_of(fetch_debuginfo(of))
        cache.mkdir(parents=True)
        shutil.copyfile(fetch_debuginfo(of), cache / "vmlinux")
        shutil.copyfile(script, host.folder / "look.py")
        done = subprocess.run(host.command(rig.vmcorectl, "debug", "--live", "-c", host.uri, "living", "--", host.folder / "look.py"),
                              stdin=subprocess.DEVNULL, cwd=host.folder / "home", capture_output=True, text=True, errors="replace", timeout=600,
                              env={**os.environ, "PATH": f"{host.folder}/analyzers:{os.environ['PATH']}"})
        print(f"debug --live DOMAIN: exit {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
        findings.check("debug --live DOMAIN", seen_by_drgn(of, done.stdout) + ([] if (done.returncode, host.status(), [line for line in host.taints() if "custom-monitor" in line]) == (0, "running", [])
                       else [f"exit {done.returncode}, {host.status()}, {host.taints()}"]))


PARTS = {**dict.fromkeys(KERNELS), "dead": dead, "ten": ten, "self_check": self_check, "scripts": scripts, "domain": domain,
         "live": live}


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as folder:
        rig = Rig(vmcorectl, Path(folder))
        for name in os.environ.get("VMCORECTL_PARTS", "").split() or PARTS:
            if name in KERNELS:
                find_it(rig, name, findings)
            else:
                PARTS[name](rig, findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
