# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker that a hostile dump has taken over: what it says is bounded, and steers no terminal."""

import json

from harness import FAILED, Cli, main

SAYS_IT_IS_DONE = """
os.write(fds[1], TEXT)
channel.send(json.dumps({"type": "done", "release": "6.1\\x1b[2J\\x9b", "build_id": "", "level_asked": 0, "level_reached": 0,
                         "incomplete": False, "callers": False, "ram_pages": 0, "kept_pages": 0, "lost_pages": 0, "crashed": False, "classes": [],
                         "remarks": []}).encode())
"""
HOSTILE = "first\tline\nsecond\x1b[2J\rline\x7f \x9b31m caf\u00e9 \0 end\n"
PRINTED = "first\tline\nsecond\\x1b[2J\\x0dline\\x7f \\xc2\\x9b31m caf\u00e9 \\x00 end\n"


class Worker(Cli):
    def lying(self, text: str):
        return self.with_worker(SAYS_IT_IS_DONE.replace("TEXT", repr(text.encode())))

    def test_dmesg(self):
        done = self.run_cli("dmesg", self.dump(), program=self.lying(HOSTILE))
        self.assertEqual(done.stdout.decode(), PRINTED)

    def test_dmesg_json(self):
        done = self.run_cli("dmesg", self.dump(), "--output", "json", program=self.lying(HOSTILE))
        self.assertTrue(all(byte == 10 or 32 <= byte < 127 for byte in done.stdout), done.stdout)
        self.assertEqual(json.loads(done.stdout)["log"], HOSTILE)

    def test_info_json(self):
        """Nothing of what it said is printed as it came: not its white space, nor its escapes, nor its letters."""
        said = self.info(self.dump())
        said["kernel"]["release"] = "6.1\x1b[2J\u202ecaf\u00e9"
        text = "\n\n " + json.dumps(said, ensure_ascii=False).replace("\x1b", "\\u001b")
        done = self.run_cli("info", self.dump(), "--output", "json", program=self.lying(text))
        self.assertTrue(all(byte == 10 or 32 <= byte < 127 for byte in done.stdout), done.stdout)
        self.assertEqual(json.loads(done.stdout), said)
        self.assertNotEqual(done.stdout.decode()[0], "\n")

    def test_documents_that_are_none(self):
        memory = json.loads(self.run_cli("memory", self.dump(), "--output", "json").stdout)
        cases = {"text": HOSTILE, "two": "{}{}", "list": "[]", "cut": '{"format": ', "deep": "[" * 100_000,
                 "deep object": '{"a":' * 100_000, "no UTF-8": '{"a": "\udcff"}', "surrogate": '{"a": "\\ud800"}',
                 "long": '{"a": ' + "b" * 100_000}
        for number, (name, text) in enumerate(cases.items()):
            program = self.with_worker(
                SAYS_IT_IS_DONE.replace("TEXT", repr(text.encode(errors="surrogateescape"))), number)
            for verb in ("info", "memory"):
                for words in ((), ("--output", "json")):
                    with self.subTest(case=name, verb=verb, words=words):
                        done = self.run_cli(verb, self.dump(), *words, program=program, code=FAILED)
                        self.assertIn("vmcore-worker's answer", done.stderr.decode())
                        self.assertLess(len(done.stderr), 1000)
                        self.assertNotIn(b"first", done.stdout)
        said = json.dumps(memory, indent=7)
        program = self.with_worker(SAYS_IT_IS_DONE.replace("TEXT", repr(said.encode())), 99)
        done = self.run_cli("memory", self.dump(), "--output", "json", program=program)
        self.assertNotIn(b"       ", done.stdout.splitlines()[1])
        self.assertEqual(json.loads(done.stdout), memory)

    def test_documents_are_bounded(self):
        done = self.run_cli("info", self.dump(), program=self.lying("[" * (17 << 20)), code=FAILED)
        self.assertIn("more than 16 MiB of text", done.stderr.decode())

    def test_the_least_number(self):
        info = self.info(self.dump())
        info["capture"] = {"method": "direct", "consistency": "stopped", "host_memory": -1 << 63}
        done = self.run_cli("info", self.dump(), program=self.lying(json.dumps(info)))
        self.assertIn("host memory     -", done.stdout.decode())

    def test_convert_json(self):
        done = self.run_cli("convert", self.dump(), "out", "--output", "json", program=self.lying(""))
        self.assertTrue(all(byte == 10 or 32 <= byte < 127 for byte in done.stdout), done.stdout)

    def test_one_that_says_nothing_and_lives(self):
        for number, says in enumerate(("channel.send(b'')", "channel.close()")):
            with self.subTest(says=says):
                program = self.with_worker(f"{says}\ntime.sleep(1000)\n", number)
                done = self.run_cli("dmesg", self.dump(), code=FAILED, program=program, timeout=60)
                self.assertIn("closed its channel", done.stderr.decode())

    def test_one_that_asks_and_does_not_listen(self):
        program = self.with_worker("""
while True:
    channel.send(b'{"type": "want", "begin": 0, "size": 4096}')
""")
        done = self.run_cli("dmesg", self.dump(), code=FAILED, program=program, timeout=60)
        self.assertIn("worker protocol", done.stderr.decode())


if __name__ == "__main__":
    main()
