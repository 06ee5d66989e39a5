# SPDX-License-Identifier: GPL-2.0-or-later
"""The analyzers of peers/tools.py as an administrator has them: programs of a folder."""

import subprocess
from pathlib import Path

from peers import tools

# name of the program -> (peer, words in front of the user's own)
ANALYZERS = {"crash": ("crash", ()), "crash-8.0.2": ("crash-bookworm", ()), "drgn": ("drgn-trixie", ("-m", "drgn")),
             "drgn-0.2.0": ("drgn-newest", ("-m", "drgn"))}


def install(folder: Path, names: tuple, seen_as: Path | None = None) -> None:
    """Puts them into the folder, which those who run them see as `seen_as`. What they consist of lies below it as well: a
    confined program sees no more of its user's files."""
    folder.mkdir(exist_ok=True)
    for name in names:
        peer, words = ANALYZERS[name]
        root, own = tools.root(peer), folder / f"root-{peer}"
        if subprocess.run(["cp", "-al", root, own], capture_output=True).returncode != 0:
            subprocess.run(["cp", "-aT", root, own], check=True)    # another file system
        settings = " ".join([*(f"{key}={value}" for key, value in tools.environment(peer).items()
                               if key.startswith("PYTHON") or key == "LC_ALL"), '"TERM=${TERM:-dumb}"'])
        program = folder / name
        text = f'#!/bin/sh\nexec env {settings} {" ".join([*tools.command(peer), *words])} "$@"\n'
        program.write_text(text.replace(str(root), str((seen_as or folder) / own.name)))
        program.chmod(0o755)
