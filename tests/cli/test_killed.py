# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcored is killed at random moments while guests crash, and another one is started: each crash is kept, no part of one
is listed as whole, and every guest ends by its policy. One more guest resets in the reset trap meanwhile, and goes on
whatever happens. The guests are monitors without a QEMU (bench/fake_fleet.py, fake_qemu.py). $VMCORECTL_KILLS: how often
(10); $VMCORECTL_SEED: another sequence."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from fake_qemu import FakeQemu
from harness import DONE, VMCORECTL, Cli, main
from bench.fake_fleet import Fleet, config
from bench.fleet import Service, wait_until

KILLS = int(os.environ.get("VMCORECTL_KILLS", "10"))
SEED = int(os.environ.get("VMCORECTL_SEED", "13"))
VMCORED = Path(VMCORECTL).with_name("vmcored")
GUESTS = 6
PATIENCE = 120


class Killed(Cli):
    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        self.service = Service(VMCORED, self.folder, config())
        self.addCleanup(lambda: self.service.process.poll() is None and self.service.kill())
        self.fleet = Fleet(self.service.sockets, self.dump("qemu-6.12"), GUESTS)
        self.fleet.start()
        self.service.start()
        trapped = self.service.sockets / "trapped.qmp"
        self.trapped, self.resets = FakeQemu(trapped, self.dump("qemu-6.12"), name="trapped"), 0
        self.addCleanup(self.trapped.close)
        wait_until(lambda: self.run_cli("arm", "--qmp", trapped, "--trap-resets", "--socket", self.folder / "control",
                                        code=None).returncode == DONE, "a guest in the reset trap", PATIENCE)

    def running(self) -> list:
        return [name for name, guest in self.fleet.guests.items() if guest.status == "running"]

    def listed(self) -> list:
        if not self.service.store.exists():
            return []
        return json.loads(self.run_cli("list", "--store", self.service.store, "--output", "json").stdout)["crashes"]

    def drafts(self) -> list:
        return [path.name for path in self.service.store.glob(".new-*")]

    def settled(self) -> bool:
        return len(self.running()) == GUESTS and not self.trapped.status and not self.drafts() and not self.service.jobs()

    def wait_until_settled(self) -> None:
        try:
            wait_until(self.settled, "all guests run, and no draft is left", PATIENCE)
        except TimeoutError as why:
            states = {name: guest.describe() for name, guest in self.fleet.guests.items()}
            self.fail(f"{why}: {json.dumps(states, indent=1)} {self.trapped.status} {self.drafts()} {self.service.jobs()}\n{self.service.said()}")

    def panic_some(self) -> None:
        """And a reset, whose guest stops in the trap if that is set just now."""
        if not self.trapped.status:
            self.trapped.reset_by_guest()
            self.resets += bool(self.trapped.status)
        running = self.running()
        self.fleet.panic(self.chance.sample(running, min(len(running), self.chance.randint(1, 3))))

    def panics(self, name: str) -> list:
        """What was done to that guest after each of its panics: [(time of it, deeds)]."""
        panics = []
        for when, deed in self.fleet.guests[name].deeds:
            if deed == "panic":
                panics.append((when, []))
            elif panics and deed != "set-action":
                panics[-1][1].append(deed)
        return panics

    def check_whole(self, crash: dict) -> None:
        """What is said of its files is so, and a dump that is listed as whole has all pages."""
        folder, manifest = self.service.store / crash["id"], crash["manifest"]
        self.assertIsNone(crash["damage"], crash)
        for file in manifest["files"]:
            contents = (folder / file["name"]).read_bytes()
            self.assertEqual((len(contents), hashlib.sha256(contents).hexdigest()), (file["size"], file["sha256"]), folder)
        if manifest["complete"] and not manifest["memory_left_out"]:
            self.assertTrue(manifest["verified"], manifest)
            found = self.info(folder / "vmcore")
            self.assertEqual(found["pages"], self.whole["pages"], folder)

    def check_kept(self, name: str, crashes: list) -> None:
        """Each of the guest's panics has a crash of its own: taken after it, and before the next."""
        times = sorted(crash["manifest"]["time"] for crash in crashes if crash["manifest"]["capture"]["guest"]["name"] == name)
        panics = self.panics(name)
        for (when, deeds), (later, _) in zip(panics, panics[1:] + [(float("inf"), [])]):
            taken = next((each for each in times if int(when) <= each <= later), None)
            self.assertIsNotNone(taken, f"{name}: no crash of its panic at {when}, {deeds}: {times}\n{self.service.said()}")
            times.remove(taken)

    def test_between_reset_and_cont(self):
        """The next vmcored carries the guest on, and does not reset it again; so does the guardian of a trapped one."""
        guest, obey, event = self.fleet.guests["vm000"], self.fleet.guests["vm000"].obey, self.trapped._event

        def killing(command: dict) -> None:
            obey(command)
            if command["execute"] == "system_reset":
                self.service.kill()

        def killing_too(name: str, **data) -> None:
            event(name, **data)
            if name == "RESET":
                self.service.kill()

        guest.obey, self.trapped._event = killing, killing_too
        self.fleet.panic(["vm000"])
        self.service.process.wait(PATIENCE)
        self.assertEqual(guest.status, "prelaunch")
        self.service.start()
        self.wait_until_settled()
        self.assertEqual([deed for _, deed in guest.deeds if deed in ("system_reset", "cont")], ["system_reset", "cont"])
        self.trapped.reset_by_guest()
        self.service.process.wait(PATIENCE)
        wait_until(lambda: self.trapped.status is None, "a trapped guest that its guardian carries on", PATIENCE)
        self.service.start()
        self.wait_until_settled()
        self.assertEqual([deed for deed in self.trapped.deeds if deed in ("system_reset", "cont")], ["system_reset", "cont"])

    def test_a_guest_that_panics_again_after_its_restart(self):
        """Its second panic is not taken for the first one, of which vmcored knows no more than that it was not settled."""
        guest, obey = self.fleet.guests["vm000"], self.fleet.guests["vm000"].obey

        def killing(command: dict) -> None:
            obey(command)
            if command["execute"] == "system_reset":    # its memory was read, and its dump is not in the store yet
                for job in self.service.jobs():
                    os.kill(job, signal.SIGKILL)
            elif command["execute"] == "cont":
                self.service.kill()

        guest.obey = killing
        self.fleet.panic(["vm000"])
        self.service.process.wait(PATIENCE)
        guest.obey = obey
        wait_until(lambda: not self.service.jobs(), "the end of the job", PATIENCE)
        self.fleet.panic(["vm000"])
        self.service.start()
        self.wait_until_settled()
        self.assertEqual(self.service.end(), 0)
        self.check_kept("vm000", self.listed())

    def test_at_random_moments(self):
        begun = time.monotonic()
        self.fleet.panic(["vm000"])
        wait_until(lambda: self.listed() and self.settled(), "a first crash", PATIENCE)
        once = time.monotonic() - begun
        (first,) = self.listed()
        self.whole = self.info(self.service.store / first["id"] / "vmcore")
        for _ in range(KILLS):
            self.panic_some()
            time.sleep(self.chance.uniform(0, 1.2 * once))
            self.service.kill()
            if self.chance.random() < 0.3:
                self.panic_some()
            self.service.start()
            if self.chance.random() < 0.5:
                self.wait_until_settled()
        self.wait_until_settled()
        self.assertEqual(self.service.end(), 0)
        crashes, said = self.listed(), self.service.said()
        for crash in crashes:
            self.check_whole(crash)
            self.assertIn("guest", crash["manifest"]["capture"], str(crash))
        deeds = []
        for name in self.fleet.guests:
            self.check_kept(name, crashes)
            deeds += [[deed for deed in done if deed != "dump-guest-memory"] for _, done in self.panics(name)]
        told = {line.split(" kept as ")[1].split()[0].rstrip(";,") for line in said.splitlines() if " kept as " in line}
        self.assertLessEqual(told, {crash["id"] for crash in crashes})
        parts = said.count("was a part of")
        for done in deeds:      # once; a reset that was not carried on is carried on by the next vmcored
            self.assertEqual((done[0], done[-1], done.count("cont")), ("system_reset", "cont", 1), deeds)
        whole = [crash for crash in crashes if crash["manifest"]["complete"]]
        self.assertGreater(self.resets, 0)
        print(f"\nkilled vmcored {KILLS} times in {time.monotonic() - begun:.0f} s (one crash takes {once:.2f} s): {len(deeds)} panics, "
              f"{len(crashes)} crashes are listed, {len(whole)} whole, {len(crashes) - len(whole)} in part; {parts} parts of whole "
              f"ones were removed; {len(told)} were told as kept; every guest was restarted once after each panic; {self.resets} "
              f"resets were trapped")


if __name__ == "__main__":
    main()
