#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""list_messages.py finds what a user can see, whole, and nothing else."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import list_messages

SOURCE = r'''
#include "src/base/a header.h"
// "a comment is no message"
namespace vmcore {
constexpr const char* kKey = "level_asked";
Result<> check(int value) {
  if (value == '"') {
    return fail(Errc::invalid, "the value {} is "
                               "too large: \"{}\"", value, "more");
  }
  fmt::print(stderr, R"(two lines
of text)");
  return {};
}
}
'''


class Listing(unittest.TestCase):
    def test_a_source(self):
        with tempfile.TemporaryDirectory() as root:
            (Path(root) / "src").mkdir()
            (Path(root) / "src" / "a.cc").write_text(SOURCE)
            self.assertEqual([(line, kind, text) for _, line, kind, text in list_messages.messages(Path(root))],
                             [(8, "fail", 'the value {} is too large: "{}"'), (11, "print", "two lines of text")])

    def test_the_project(self):
        kinds = [kind for _, _, kind, _ in list_messages.messages(Path(__file__).resolve().parents[2])]
        for kind in ("fail", "format", "finding", "add_option", "add_flag", "print"):
            self.assertIn(kind, kinds)


if __name__ == "__main__":
    unittest.main()
