# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the tasks of a report (`vmcorectl report --output json`) with those that an independent tool found: peers/facts.py."""

from dataclasses import dataclass, field
from difflib import SequenceMatcher

SHOWN = 12      # stacks that differ, of one dump
# To /proc and drgn, tasks that are being woken or made are running.
STATES = {"RU": "R", "WA": "R", "NE": "R", "IN": "S", "UN": "D", "ST": "T", "TR": "t", "DE": "X", "ZO": "Z", "PA": "P", "ID": "I"}


@dataclass
class Count:
    """Frames of all stacks that were compared: a frame is equal if function and offset are."""
    frames: int = 0
    equal: int = 0
    lines: list = field(default_factory=list)

    def add(self, other: "Count") -> None:
        self.frames += other.frames
        self.equal += other.equal

    @property
    def percent(self) -> float:
        return 100 * self.equal / self.frames if self.frames else 0.0

    def __str__(self) -> str:
        return f"{self.equal} of {self.frames} frames are equal ({self.percent:.2f} %)"


def text_of(frame: dict) -> str:
    return f"{frame['function']}+{frame['offset']:#x}" if "function" in frame else frame["address"]


def is_equal(ours: dict, theirs) -> bool:
    """A function may have several names, of which the tools choose different ones."""
    return theirs.names.get(ours.get("function")) == ours.get("offset")


def tasks_of(report: dict) -> dict:
    """By the keys of facts.Task."""
    return {(task["pid"], task["comm"]) if task["pid"] == 0 else (task["pid"], ""): task for task in report["tasks"].get("list", ())}


def frames_of(report: dict, task: dict) -> list:
    return report["stacks"][task["stack"]]["frames"] if "stack" in task else []


def compare_frames(ours: list, theirs: list) -> tuple:
    """(frames, equal ones): what one of them has more counts as different."""
    names = [next((name for name, offset in frame.names.items()
                   if any(is_equal(our, frame) and our.get("function") == name for our in ours)), str(frame)) for frame in theirs]
    keys = [f"{name}+{frame.names[name]:#x}" if name in frame.names else name for name, frame in zip(names, theirs)]
    blocks = SequenceMatcher(None, [text_of(frame) for frame in ours], keys, autojunk=False).get_matching_blocks()
    return max(len(ours), len(theirs)), sum(block.size for block in blocks)


def stacks(report: dict, theirs: dict, whose: str) -> Count:
    """All stacks of tasks that both know. A stack that they could not follow to its end counts as far as they came."""
    ours, count = tasks_of(report), Count()
    for key, task in theirs.items():
        if key not in ours:
            continue
        frames = frames_of(report, ours[key])
        total, equal = compare_frames(frames[:len(task.frames)] if task.error else frames, task.frames)
        count.add(Count(total, equal))
        if total != equal and len(count.lines) < SHOWN:
            count.lines.append(f"{task.pid} {task.comm}: {' < '.join(map(text_of, frames)) or 'no frames'}\n"
                               f"    {whose}: {' < '.join(map(str, task.frames)) or 'no frames'} {task.error}")
    return count


def names_and_states(report: dict, theirs: dict, whose: str, states: dict = STATES) -> list:
    """Lines about tasks that only one of the tools has, and about other names and states."""
    ours = tasks_of(report)
    wrong = [f"only {whose} has {theirs[key].pid} {theirs[key].comm}" for key in theirs if key not in ours]
    wrong += [f"{whose} does not have {task['pid']} {task['comm']}" for key, task in ours.items() if key not in theirs]
    for key in ours.keys() & theirs.keys():
        our, task = ours[key], theirs[key]
        if (our["comm"], states.get(our["state"], our["state"])) != (task.comm, task.state):
            wrong.append(f"{task.pid}: {our['comm']} {our['state']}, {whose} says {task.comm} {task.state}")
    return wrong
