#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""report --html in a headless Chromium, of a guest of 16 CPUs whose tasks and log lines are HTML: at the width of a desktop and of
a phone, and printed. Nothing leaves the page, and nothing in it runs but its own script.

What it looks like is in the cache's folder "pages".
"""

import gzip
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.cache import cache_dir
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from peers.browser import Browser

CPUS = 16
HOSTILE = """<script>document.title="pwned"</script>
<img src=//192.0.2.1/x onerror=alert(1)>
</pre></details></body><iframe src=file:///etc/passwd>
\x1b[2J \u202egnp.exe <a href=javascript:alert(2)>click</a>
""" + "a very long line without a space: " + "x" * 900 + "\n"
COMMS = ("<img src=//x.y>", "</pre><b>", "<svg/onload=1>", "&lt;\"'`${x}")
SIZES = {"desktop": (1280, 900, False), "phone": (390, 844, True)}


def initrd(of, path: Path) -> None:
    archive = initramfs.Archive()
    archive.add("hostile", 0o100644, HOSTILE.encode())
    archive.add("comms", 0o100644, "".join(f"{comm}\n" for comm in COMMS).encode())
    before = """while read -r line; do echo "$line" > /dev/kmsg; done < /hostile
mkfifo /tmp/fifo
while read -r comm; do (read -r me rest < /proc/self/stat; echo -n "$comm" > /proc/self/comm; read never < /tmp/fifo) & done < /comms
sleep 1
/workload"""
    archive.add("init", 0o100755, initramfs.INIT.replace("/workload", before).format(arguments="").encode())
    path.write_bytes(initramfs.build(of, []) + gzip.compress(archive.finish(), compresslevel=1))


def wrong_in(browser: Browser, page: Path, phone: bool) -> list:
    wide, room = browser.value("document.documentElement.scrollWidth"), browser.value("document.documentElement.clientWidth")
    wrong = [] if wide <= room else [f"it is {wide} wide, and the window {room}"]
    wrong += [f"it asks for {url}" for url in browser.requests() if url not in (page.as_uri(), "data:,")]
    wrong += browser.complaints()
    wrong += [] if browser.value("document.scripts.length") == 1 else ["more than one script"]
    wrong += [] if browser.value("document.querySelectorAll('iframe, img, a[href^=javascript]').length") == 0 else ["foreign elements"]
    wrong += [] if "pwned" not in browser.value("document.title") else ["a script of the guest ran"]
    text = browser.value("document.documentElement.textContent")
    wrong += [f"no {comm}" for comm in COMMS if comm not in text]
    wrong += [] if "<img src=//192.0.2.1/x onerror=alert(1)>" in text else ["no hostile line"]
    # Its script: the field leaves the lines that have the text.
    shown = """(() => { const field = document.querySelector('input'); field.value = 'onerror'; field.dispatchEvent(new Event('input'));
        return [...document.querySelectorAll('pre span')].filter(each => each.checkVisibility()).length; })()"""
    lines = browser.value("[...document.querySelectorAll('pre span')].length")
    left = browser.value(shown)
    print(f"{page.name} {'phone' if phone else 'desktop'}: {wide} wide of {room}, {lines} lines, {left} with the text", flush=True)
    return wrong + ([] if 0 < left < lines else [f"{left} of {lines} lines have the text"])


def look(page: Path, findings) -> None:
    folder = cache_dir("pages")
    with Browser() as browser:
        for name, (width, height, phone) in SIZES.items():
            browser.open(page, width, height, phone)
            browser.picture(folder / f"{name}.png")
            browser.value("document.querySelectorAll('details').forEach(each => each.open = true)")
            browser.picture(folder / f"{name}-all.png", whole=True)
            findings.check(name, wrong_in(browser, page, phone))
        browser.open(page, 1280, 900)
        browser.pdf(folder / "printed.pdf")
        findings.check("PDF", [] if (folder / "printed.pdf").stat().st_size > 10_000 else ["no PDF"])


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        initrd(kernel("6.12"), folder / "initrd")
        with Guest(Config("hostile", kernel="6.12", cpus=CPUS, memory_mib=768, words=("-initrd", str(folder / "initrd")))) as guest:
            guest.panic()
            dump = guest.dump_elf(folder / "dump.elf")
        page = cache_dir("pages") / "report.html"
        done = vmcorectl.run("report", dump, "--html", page, "--force")
        if findings.check("report --html", [] if done.returncode == 0 else [f"exit {done.returncode}: {done.stderr}"]):
            look(page, findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
