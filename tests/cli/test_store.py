# SPDX-License-Identifier: GPL-2.0-or-later
"""The store: dump --keep and receive --keep, and the verbs that list, export, hold and remove what was kept."""

import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import time
import unittest
from pathlib import Path

from fake_qemu import UUID, FakeQemu
from harness import DONE, FAILED, MAKE_DUMP, NOT_AS_ASKED, USAGE, VMCORECTL, Cli, main

MAKE_STREAM = Path(MAKE_DUMP).with_name("make_stream")
ID = re.compile(r"\d{8}T\d{6}Z-[\w.]+-[\w.]+-\d{6}")


class Stored(Cli):
    """What all of these share: a store in the test's folder."""

    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"

    def in_store(self, verb, *words, **more):
        return self.run_cli(verb, "--store", self.store, *words, **more)

    def stream(self) -> Path:
        path = self.dumps / "stream"
        if not path.exists():
            subprocess.run([MAKE_STREAM, self.dump(), path], check=True)
        return path

    def receive(self, code=DONE, *words, **more):
        return self.in_store("receive", self.stream(), "--keep", "-q", *words, code=code, **more)

    def kept(self) -> str:
        """The ID of a crash that was kept just now."""
        before = set(self.ids())
        self.receive()
        (new,) = set(self.ids()) - before
        return new

    def listed(self, *words, code=DONE) -> list:
        return json.loads(self.in_store("list", "--output", "json", *words, code=code).stdout)["crashes"]

    def ids(self, *words, code=DONE) -> list:
        return [crash["id"] for crash in self.listed(*words, code=code)] if self.store.exists() else []

    def left(self) -> list:
        """The names in the store, without crashes, the lock and the reserve."""
        return sorted(path.name for path in self.store.iterdir()
                      if not ID.fullmatch(path.name) and path.name not in ("lock", ".reserve"))


class Keeping(Stored):
    def test_receive(self):
        done = self.in_store("receive", self.stream(), "--keep")
        (crash,) = self.listed()
        self.assertRegex(crash["id"], ID)
        self.assertIn(f"kept as       {crash['id']}", done.stdout.decode())
        self.assertNotIn(".new-", (done.stdout + done.stderr).decode())
        manifest = crash["manifest"]
        self.assertTrue(manifest["complete"] and manifest["verified"])
        self.assertEqual([file["name"] for file in manifest["files"]],
                         ["report.json", "report.txt", "vmcore", "vmcore-dmesg.txt"])
        self.assertEqual(manifest["signature"]["title"], "Panic")
        self.assertGreater(manifest["to_flash_ms"], 0)
        folder = self.store / crash["id"]
        for file in manifest["files"]:
            contents = (folder / file["name"]).read_bytes()
            self.assertEqual((len(contents), hashlib.sha256(contents).hexdigest()), (file["size"], file["sha256"]))
        self.assertEqual(manifest["dump"]["pages"]["in_file"], self.info(folder / "vmcore")["pages"]["in_file"])
        self.assertEqual((folder / "report.json").read_bytes(),
                         self.run_cli("report", "--output", "json", folder / "vmcore").stdout, "of the dump, not of its log alone")
        self.assertEqual(self.left(), [])

    def test_receive_for_a_service(self):
        """The guest does not say its UUID; who heard of its crash does."""
        event = {"schema": "vmcorectl-event/1", "kind": "crash-loaded", "time_us": int(time.time() * 1e6), "found": False,
                 "guest": {"name": "vm1", "uuid": "c9b05ba6-25fe-4d10-bf6c-0a4f1a6d4eb5"}, "details": None}
        (self.folder / "event").write_text(json.dumps(event))
        self.receive(DONE, "--event", "event")
        (crash,) = self.listed()
        guest, manifest = crash["manifest"]["capture"]["guest"], crash["manifest"]
        self.assertEqual((guest["name"], guest["uuid"]), ("vm1", event["guest"]["uuid"]))
        self.assertEqual((manifest["reason"], manifest["witness"]), ("panic", "event"))
        self.assertIn("event.json", [file["name"] for file in manifest["files"]])

    def test_a_guest_that_sends_nothing_to_a_service(self):
        """It is no crash yet: it is dumped next."""
        (self.folder / "event").write_text('{"schema": "vmcorectl-event/1", "kind": "crash-loaded", "time_us": 7, "found": false, '
                                           '"guest": {"name": "vm1", "uuid": null}, "details": null}')
        (self.folder / "nothing").touch()
        self.in_store("receive", "nothing", "--keep", "--event", "event", code=FAILED)
        self.assertEqual((self.ids(), self.left()), ([], []))

    def test_a_group_reads_manifests_only(self):
        os.umask(0)
        folder = self.store / self.kept()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        self.assertEqual(modes, {"manifest.json": 0o640, **dict.fromkeys(["report.json", "report.txt", "vmcore", "vmcore-dmesg.txt", "lock"],
                                                                 0o600)})
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o750)
        self.assertEqual(stat.S_IMODE(self.store.stat().st_mode) & 0o007, 0)

    def test_dump(self):
        qemu = FakeQemu(self.folder / "qmp", self.dump(), name="../vm 1\n")
        self.addCleanup(qemu.close)
        done = self.in_store("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "--keep", "--then",
                             "reset", "--output", "json")
        (crash,) = self.listed()
        self.assertRegex(crash["id"], r"^\d{8}T\d{6}Z-[\w.]+-\.\._vm_1_-000001$")
        self.assertEqual(json.loads(done.stdout)["file"], str(self.store / crash["id"] / "vmcore"))
        self.assertEqual(crash["manifest"]["capture"]["guest"]["name"], "../vm 1 ")   # as the note has it
        self.assertEqual(crash["manifest"]["capture"]["guest"]["uuid"], UUID)
        self.assertEqual(crash["manifest"]["capture"]["method"], "qmp")
        self.assertEqual(crash["policy"], {"action": "reset", "done": True, "error": None, "why": None, "to_running_ms": None})
        self.assertEqual(qemu.deeds, ["dump-guest-memory", "system_reset"])
        self.assertEqual([file["name"] for file in crash["manifest"]["files"]], ["report.json", "vmcore", "vmcore-dmesg.txt"])
        log = (self.store / crash["id"] / "vmcore-dmesg.txt").read_text()
        self.assertEqual(log, self.run_cli("dmesg", self.store / crash["id"] / "vmcore").stdout.decode())

    def test_a_store_that_cannot_be_used_leaves_the_guest_alone(self):
        qemu = FakeQemu(self.folder / "qmp", self.dump())
        self.addCleanup(qemu.close)
        self.store.mkdir(mode=0o700)
        (self.store / "lock").mkdir()
        done = self.in_store("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "--keep", "--then",
                             "destroy", code=FAILED)
        self.assertEqual(qemu.deeds, [])
        self.assertIn(b"lock", done.stderr)

    def test_an_incomplete_dump(self):
        qemu = FakeQemu(self.folder / "qmp", self.dump(), cut=self.dump().stat().st_size // 2)
        self.addCleanup(qemu.close)
        self.in_store("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "--keep", code=NOT_AS_ASKED)
        (crash,) = self.listed()
        self.assertFalse(crash["manifest"]["complete"])
        self.assertEqual(crash["manifest"]["dump"]["file"], "vmcore.incomplete")
        self.assertIn(b"incomplete", self.in_store("list").stdout)

    def test_a_guest_that_is_not_there_leaves_nothing(self):
        self.in_store("dump", "--qmp", "nowhere", "--keep", code=FAILED)
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.left(), [])

    def test_where_else_it_goes(self):
        for words in (["-o", "out"], ["--crash-guest", "nmi", "--yes"], ["--remote"]):
            self.run_cli("dump", "vm1", "--keep", *words, code=USAGE)
        self.run_cli("dump", "vm1", "--store", "x", code=USAGE)


class Listing(Stored):
    def test_without_crashes(self):
        self.refused("list", "--store", "nowhere", says=["there is no store nowhere", "--store"])
        self.store.mkdir()
        self.assertEqual(self.in_store("list").stdout.decode(), f"no crash is in {self.store}\n")
        self.assertEqual(self.in_store("list", "vm1").stdout.decode(), f"no crash that fits is in {self.store}\n")
        self.assertEqual(self.listed(), [])

    def test_newest_last(self):
        ids = [self.kept() for _ in range(3)]
        self.assertEqual(self.ids(), ids)
        self.assertEqual(self.ids("-r"), ids[::-1])
        self.assertEqual(self.ids("-1"), ids[-1:])
        lines = self.in_store("list").stdout.decode().splitlines()
        self.assertTrue(lines[0].startswith("ID "))
        self.assertEqual([line.split()[0] for line in lines[1:]], ids)
        self.assertIn("Panic, Linux 6.12", lines[1])

    def test_a_clock_that_was_set_back(self):
        """The numbers tell which is the newest."""
        first = self.kept()
        late = self.store / first.replace(first[:4], "2099", 1)
        (self.store / first).rename(late)
        manifest = json.loads((late / "manifest.json").read_text())
        (late / "manifest.json").write_text(json.dumps(manifest | {"id": late.name}))
        second = self.kept()
        self.assertEqual(self.ids(), [late.name, second])
        self.assertEqual(self.in_store("path", "-1").stdout.decode(), f"{self.store}/{second}/vmcore\n")

    def test_filters(self):
        crash = self.kept()
        self.assertEqual(self.ids("--since", "1h"), [crash])
        self.assertEqual(self.ids("--until", "1h"), [])
        self.assertEqual(self.ids("--since", "2020-01-01", "--until", "2099-12-31 23:59"), [crash])
        reason = self.listed()[0]["manifest"]["reason"]
        self.assertEqual(self.ids("--reason", reason), [crash])
        self.assertEqual(self.ids("--reason", "none"), [])
        self.assertEqual(self.ids("--signature", "none"), [])
        self.assertEqual(self.ids("vm1", "vm2"), [])
        self.in_store("list", "--since", "yesterday", code=USAGE)

    def test_groups(self):
        for _ in range(3):
            self.kept()
        lines = self.in_store("list", "--group").stdout.decode().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[1].startswith("3 "))
        document = json.loads(self.in_store("list", "--group", "--output", "json").stdout)
        (group,) = document["groups"]
        self.assertEqual((group["count"], group["newest"]), (3, self.ids()[-1]))
        self.assertLessEqual(group["first"], group["last"])

    def test_damage_is_shown(self):
        whole, cut, empty = (self.kept() for _ in range(3))
        (self.store / cut / "manifest.json").write_text('{"schema": "vmcorectl-manifest/1", ')
        os.truncate(self.store / empty / "vmcore", 0)
        (self.store / "20261129T000000Z-a-b-000077").mkdir()
        crashes = self.listed(code=NOT_AS_ASKED)
        self.assertEqual([bool(crash["damage"]) for crash in crashes], [False, True, True, True])
        self.assertEqual(crashes[0]["id"], whole)
        self.assertIn(b"damaged", self.in_store("list", code=NOT_AS_ASKED).stdout)
        self.in_store("info", cut, code=NOT_AS_ASKED)
        self.in_store("rm", cut, empty, "20261129T000000Z-a-b-000077")
        self.assertEqual(self.ids(), [whole])

    def test_a_store_that_is_read_only(self):
        crash = self.kept()
        done = subprocess.run(["unshare", "-rm", "sh", "-c", f"mount --bind {self.store} {self.store} && "
                               f"mount -o remount,ro,bind {self.store} && exec {VMCORECTL} \"$@\"", "sh",
                               "rm", "--store", self.store, crash], capture_output=True)
        if b"unshare" in done.stderr or b"mount:" in done.stderr:
            self.skipTest("no mount namespaces here")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"Read-only file system", done.stderr)
        self.assertEqual(self.ids(), [crash])


class Reading(Stored):
    def test_what_reads_a_dump_reads_a_crash(self):
        crash = self.kept()
        dump = self.store / crash / "vmcore"
        for verb in ("dmesg", "memory"):
            plain = self.run_cli(verb, dump).stdout
            for name in (crash, crash[:-1], "-1"):
                self.assertEqual(self.in_store(verb, name).stdout, plain)
        text = self.in_store("info", "-1").stdout
        self.assertTrue(text.endswith(self.run_cli("info", dump).stdout))
        self.assertTrue(text.startswith(f"crash           {crash}\n".encode()))
        document = json.loads(self.in_store("info", "--crash", crash, "--output", "json").stdout)
        self.assertEqual(document["schema"], "vmcorectl-crash/1")
        self.assertEqual(document["crash"]["id"], crash)
        self.assertEqual(document["dump"], self.info(dump))
        self.in_store("convert", crash, "out")
        self.assertEqual(self.info("out")["pages"], self.info(dump)["pages"])

    def test_names_that_fit_none_or_several(self):
        crash = self.kept()
        self.kept()
        self.assertIn(b"matches several crashes", self.in_store("info", crash[:9], code=FAILED).stderr)
        self.assertIn(b"there is no -3", self.in_store("info", "-3", code=FAILED).stderr)
        self.assertIn(b"has no crash vm1", self.in_store("info", "--crash", "vm1", code=FAILED).stderr)
        self.in_store("info", "--crash", "--name", crash, code=USAGE)
        self.in_store("info", "--pause", crash + "x", code=FAILED)

    def test_a_name_that_a_domain_has_too(self):
        crash = self.kept()
        node = self.folder / "node.xml"
        node.write_text(f"<node><domain type='test'><name>{crash}</name><memory>1024</memory><os><type>hvm</type></os></domain></node>")
        both = {**os.environ, "LIBVIRT_DEFAULT_URI": f"test://{node}"}
        said = self.in_store("info", crash, code=None, env=both)
        self.assertIn(f"{crash} is a stored crash and a domain: give --crash or --name".encode(), said.stderr)
        self.assertNotEqual(said.returncode, DONE)
        self.assertEqual(self.in_store("info", "--crash", crash, env=both).stdout, self.in_store("info", crash).stdout)
        self.assertNotIn(b"stored crash", self.in_store("info", "--name", crash, code=FAILED, env=both).stderr)

    def test_a_file_comes_first(self):
        crash = self.kept()
        shutil.copy(self.dump(), self.folder / crash)
        self.assertIn(b"ELF", self.in_store("info", crash).stdout.splitlines()[0])
        self.assertIn(b"crash  ", self.in_store("info", "--crash", crash).stdout.splitlines()[0])

    def test_a_log_without_memory(self):
        crash = self.kept()
        folder = self.store / crash
        (folder / "vmcore").unlink()
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest |= {"dump": None, "complete": False, "files": [file for file in manifest["files"] if file["name"] != "vmcore"]}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        self.assertIn(b"no memory", self.in_store("list").stdout)
        self.assertTrue(self.in_store("dmesg", crash).stdout)
        done = self.in_store("dmesg", "--show-caller", crash, code=NOT_AS_ASKED)
        self.assertEqual(done.stdout, self.in_store("dmesg", crash).stdout)
        self.assertIn(b"only the text of the log was kept", done.stderr)
        self.assertIn(b"has no memory", self.in_store("memory", crash, code=FAILED).stderr)
        self.assertIn(b"has no memory", self.in_store("path", crash, code=FAILED).stderr)
        self.assertEqual(self.in_store("path", "--folder", crash).stdout.decode(), f"{folder}\n")
        self.assertIsNone(json.loads(self.in_store("info", crash, "--output", "json").stdout)["dump"])

    def test_export(self):
        crash = self.kept()
        self.in_store("export", crash, "copy")
        for name in ("vmcore", "vmcore-dmesg.txt", "manifest.json"):
            self.assertEqual((self.folder / "copy" / name).read_bytes(), (self.store / crash / name).read_bytes())
        self.assertEqual(stat.S_IMODE((self.folder / "copy").stat().st_mode), 0o700)
        self.assertIn(b"already exists", self.in_store("export", crash, "copy", code=FAILED).stderr)
        self.in_store("export", "-1")
        self.assertIn(crash, self.names())
        with open(self.store / crash / "vmcore", "r+b") as dump:
            dump.seek(5000)
            dump.write(b"changed")
        self.assertIn(b"another checksum", self.in_store("export", crash, "other", code=FAILED).stderr)
        self.assertEqual(self.names(), sorted(["copy", crash, "store"]))


class Removing(Stored):
    def test_held_ones_stay(self):
        crash, other = self.kept(), self.kept()
        self.in_store("hold", crash)
        self.assertTrue(self.listed()[0]["held"])
        self.assertIn(b"is held", self.in_store("rm", crash, code=FAILED).stderr)
        self.in_store("rm", crash, other, code=NOT_AS_ASKED)
        self.assertEqual(self.ids(), [crash])
        self.in_store("hold", "--release", "-1")
        self.in_store("rm", "-1")
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.left(), [])

    def test_one_that_is_open_stays(self):
        crash = self.kept()
        with open(self.store / crash / "vmcore", "rb"):
            done = subprocess.run([VMCORECTL, "rm", "--store", self.store, crash], capture_output=True)
            if done.returncode == DONE:
                self.skipTest("no leases on this file system")
            self.assertIn(b"is being read", done.stderr)
        self.in_store("rm", crash)

    def test_prune(self):
        ids = [self.kept() for _ in range(4)]
        done = self.in_store("prune", "--max-count", "2", "--dry-run")
        self.assertEqual(len(done.stdout.splitlines()), 2)
        self.assertEqual(self.ids(), ids)
        self.in_store("prune")
        self.assertEqual(self.ids(), ids)
        self.in_store("prune", "--max-count", "2")
        self.assertEqual(self.ids(), ids[2:])
        self.assertIn(b"exceeds its limit", self.in_store("prune", "--max-size", "1B", code=NOT_AS_ASKED).stderr)
        self.assertEqual(self.ids(), ids[3:])
        self.in_store("prune", "--max-age", "never", code=USAGE)


class Faults(Stored):
    def test_writers_that_are_killed(self):
        """At any moment: what was told to be kept is there, and all that is listed is whole."""
        chance = random.Random(13)
        told = 0
        begun = time.monotonic()
        self.receive()
        whole = time.monotonic() - begun
        told += 1
        for _ in range(50):
            writer = subprocess.Popen([VMCORECTL, "receive", "--store", self.store, self.stream(), "--keep"],
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                writer.wait(chance.uniform(0, 1.2 * whole))
            except subprocess.TimeoutExpired:
                writer.send_signal(signal.SIGKILL)
            told += b"kept as" in writer.communicate()[0]
            crashes = self.listed()
            self.assertGreaterEqual(len(crashes), told)
            for crash in crashes:
                self.assertIsNone(crash["damage"])
                self.assertTrue(crash["manifest"]["complete"] or "ended before" in str(crash["manifest"]["remarks"]))
        self.in_store("prune")
        self.assertEqual(self.left(), [])
        for crash in self.listed():
            self.assertEqual(crash["manifest"]["verified"], crash["manifest"]["dump"] is not None, crash)
            texts = [remark["text"] for remark in crash["manifest"]["remarks"]]
            self.assertEqual(len(texts), len(set(texts)))
            self.assertIn("vmcore-dmesg.txt", [file["name"] for file in crash["manifest"]["files"]])
            self.assertNotIn("vmcore.dmesg", [file["name"] for file in crash["manifest"]["files"]])
        print(f"killed 50 writers: {told} said that they kept a crash, {len(self.listed())} crashes are listed")

    def test_two_writers_at_once(self):
        words = [VMCORECTL, "receive", "--store", self.store, self.stream(), "--keep", "-q"]
        writers = [subprocess.Popen(words) for _ in range(4)]
        self.assertEqual([writer.wait() for writer in writers], [DONE] * 4)
        self.assertEqual([crash["manifest"]["number"] for crash in self.listed()], [1, 2, 3, 4])
        self.assertEqual(self.left(), [])

    def test_a_dump_that_finds_no_room(self):
        self.store.mkdir(mode=0o700)
        limit = 64 << 10

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        self.receive(FAILED, preexec_fn=small_files)
        self.assertEqual(self.ids(), [])

    def test_a_file_system_that_is_full(self):
        """Nothing is begun, nothing is left behind, and the error says what to do; crashes that may go make room."""
        keep = f"{VMCORECTL} receive --store mnt/store --spool . {self.stream()} --keep"
        script = (f"mount -t tmpfs -o size=40m none mnt && {keep} && {VMCORECTL} hold --store mnt/store -1 && "
                  f"head -c 36M /dev/zero > mnt/filler; {keep}; echo code $?; ls -A mnt/store; rm mnt/filler; {keep}; "
                  f"{VMCORECTL} list --store mnt/store")
        (self.folder / "mnt").mkdir()
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=self.folder, capture_output=True)
        if b"unshare" in done.stderr or b"mount:" in done.stderr:
            self.skipTest("no mount namespaces here")
        self.assertIn(b"code 1", done.stdout)
        self.assertIn(b"has no room for a dump", done.stderr)
        self.assertNotIn(b".new-", done.stdout)
        self.assertEqual(done.stdout.count(b"kept as"), 2)
        self.assertIn(b"held", done.stdout.splitlines()[-2])


if __name__ == "__main__":
    main()
