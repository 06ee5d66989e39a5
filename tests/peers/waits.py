# SPDX-License-Identifier: GPL-2.0-or-later
"""Run queues and waits of a report, beside what drgn finds by the debuginfo of the kernel."""

import json
from pathlib import Path

from guests import initramfs
from guests.kernels import Kernel, fetch_debuginfo, fetch_module_debuginfo
from peers import readers
from peers.facts import DRGN

SCRIPT = Path(__file__).resolve().parent / "drgn_waits.py"


def by_drgn(dump: Path, of: Kernel) -> dict:
    files = [word for path in (fetch_debuginfo(of), *fetch_module_debuginfo(of, initramfs.MODULES)) for word in ("-s", path)]
    return json.loads(readers.checked(DRGN.get(of.name, "drgn-trixie"), "-m", "drgn", "-q", "-c", dump, *files, SCRIPT, seconds=600).stdout)


def queues_differ(report: dict, known: dict) -> list:
    """A task that is about to sleep (v6.12) is in a queue; drgn's list leaves out none of them either."""
    wrong = []
    ours = {cpu["number"]: cpu["queue"] for cpu in report["cpus"]["list"] if "queue" in cpu}
    for queue in known["queues"]:
        tasks = {task["pid"]: task["policy"] for task in ours.get(queue["cpu"], {}).get("tasks", [])}
        theirs = {int(pid): policy for pid, policy in queue["tasks"].items()}
        if tasks != theirs:
            wrong.append(f"CPU {queue['cpu']}: the queue holds {tasks}, drgn says {theirs}")
        if ours.get(queue["cpu"], {}).get("real_time", 0) != queue["real_time"]:
            wrong.append(f"CPU {queue['cpu']}: {ours.get(queue['cpu'])}, drgn says {queue['real_time']} real-time tasks")
    return wrong


def waits_differ(report: dict, known: dict) -> tuple:
    """(how many waits drgn knows, lines about those that differ): the page or buffer, its file or block."""
    wrong, count = [], 0
    for task in report["tasks"]["list"]:
        theirs, ours = known["waits"].get(str(task["pid"]), {}), task.get("io", {})
        if not theirs:
            continue
        count += 1
        said = {"buffer" if ours.get("kind") == "buffer" else "page": int(ours.get("address", "0"), 16),
                **{key: ours[key] for key in ("inode", "block") if key in ours}}
        if any(said.get(key) != theirs[key] for key in ("page", "inode", "buffer", "block") if key in theirs):
            wrong.append(f"{task['pid']} {task['comm']}: {ours}, drgn says {theirs}")
    return count, wrong
