#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists every text that a user can see: errors, remarks, hints, findings, help and progress lines.

    list_messages.py [ROOT] [--kind KIND]     one line each: FILE:LINE: KIND: TEXT

It takes the string literals of the sources that read as words, adjacent literals joined. KIND is the function or type
that gets the text: fail, Remark, add_option ... So a text that is put together of several literals is several lines.
"""

import argparse
import re
import sys
from pathlib import Path

FOLDERS = ("src", "filters", "qmp", "guest")
TOKEN = re.compile(r"""
    //[^\n]*|/\*.*?\*/                                        # comments
  | ^[ \t]*\#[^\n]*                                           # preprocessor lines
  | (?P<raw>R"(?P<mark>[^(\s]*)\((?P<raw_text>.*?)\)(?P=mark)")
  | (?P<text>"(?:\\.|[^"\\\n])*")
  | '(?:\\.|[^'\\\n])+'                                       # characters
  | (?P<open>[A-Za-z_][\w:]*(?:<[^;{}()<>]*>)?\s*[({])
  | (?P<bare>[({\[])
  | (?P<close>[)}\]])
""", re.X | re.M | re.S)
ESCAPE = re.compile(r"\\(.)")
# Two words, or one that ends a sentence: what is no key, name, path, format or byte.
WORDS = re.compile(r"[A-Za-z]{2,}[,:;]? +\(?[A-Za-z{]|\} [a-z]{2,}|[a-z]{2,} \{")
# What speaks to programs and not to people.
OTHERS = {"static_assert", "execute", "execute_hmp", "human", "asm", "getenv"}
NO_NAMES = {"namespace", "if", "for", "while", "switch", "return", "with"}


def literals(source: str):
    """(line, kind, text) of each literal, adjacent ones joined."""
    stack, joined = [], None       # joined: (line, kind, text, where it ends)
    for token in TOKEN.finditer(source):
        text = token["raw_text"] if token["raw"] else token["text"] and ESCAPE.sub(
            lambda escaped: {"n": " ", "t": " "}.get(escaped[1], escaped[1]), token["text"][1:-1])
        if text is not None:
            line = source.count("\n", 0, token.start()) + 1
            if joined and not source[joined[3]:token.start()].strip():
                joined = (*joined[:2], joined[2] + text, token.end())
            else:
                if joined:
                    yield joined[:3]
                kind = next((name for name in reversed(stack) if name), "")
                joined = (line, kind, text, token.end())
        elif token["open"]:
            name = re.sub(r"[<\s({].*", "", token["open"], flags=re.S).split("::")[-1]
            in_words = name in NO_NAMES or source[:token.start()].endswith("namespace ")
            stack.append("" if in_words else name)
        elif token["bare"]:
            stack.append("")
        elif token["close"] and stack:
            stack.pop()
    if joined:
        yield joined[:3]


def messages(root: Path):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h"):
                for line, kind, text in literals(path.read_text()):
                    if WORDS.search(text) and kind not in OTHERS:
                        yield path.relative_to(root), line, kind, " ".join(text.split())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--kind", help="only texts of this kind: fail, Remark, add_option ...")
    options = parser.parse_args()
    for path, line, kind, text in messages(options.root):
        if options.kind in (None, kind):
            print(f"{path}:{line}: {kind}: {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
