# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the tests keep what they fetch and make: outside the source tree, shared by all builds.

$VMCORECTL_CACHE, else $XDG_CACHE_HOME/vmcorectl, else ~/.cache/vmcorectl.
Everything below it can be deleted at any time; it is fetched or made again.
"""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path


def cache_root() -> Path:
    explicit = os.environ.get("VMCORECTL_CACHE")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vmcorectl"


def cache_dir(*names: str) -> Path:
    """A folder of the cache, made if it is not there."""
    path = cache_root().joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name: str):
    """Lets one process at a time make a thing; ctest may run several tests side by side."""
    with open(cache_dir("locks") / name, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def new_folder(final: Path):
    """Yields an empty folder that gets its final name only if the block succeeds."""
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
