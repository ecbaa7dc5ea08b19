#  wordcount: what a pipeline counts, with a stage that dies now and then, is what there is; and the demo.
#
#  ctest timeout: 120
#
#  SPDX-License-Identifier: Apache-2.0

import collections
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

from support import BUILD, LAUNCHER, SOURCE

DEMO = [SOURCE / "examples" / "demo.sh", BUILD]
WORDCOUNT = [*LAUNCHER, BUILD / "examples" / "wordcount"]


def count(text):
    return collections.Counter(re.findall(rb"[A-Za-z]+", text))


class Wordcount(unittest.TestCase):
    def run_it(self, path):
        environment = dict(os.environ, RESIL_LOG="warn")
        done = subprocess.run([*WORDCOUNT, path], capture_output=True, timeout=60, env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line.split() for line in done.stdout.splitlines()]
        return {word: int(times) for times, word in lines}, done.stderr.decode()

    def test_each_word_is_counted_once_though_a_stage_dies(self):
        text = b"".join((SOURCE / name).read_bytes()
                        for name in ("LICENSE", "README.md", "docs/protocols/link.md"))
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            counts, log = self.run_it(file.name)
        self.assertEqual(counts, count(text))
        self.assertIn("panicked: out of luck", log)

    def test_an_empty_file_has_no_words(self):
        counts, log = self.run_it("/dev/null")
        self.assertEqual(counts, {})

    def test_without_a_file_it_says_how_it_is_used(self):
        done = subprocess.run(WORDCOUNT, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"usage", done.stderr)


class Demo(unittest.TestCase):
    TEXT = SOURCE / "LICENSE"

    def test_the_demo_counts_what_sort_counts(self):
        done = subprocess.run([*DEMO, self.TEXT, "20"], capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done)
        out = done.stdout.decode()
        self.assertIn("the counts are equal", out)
        self.assertRegex(out, r"Workers died [1-9][0-9]* times")
        for line in out.splitlines():
            if str(self.TEXT) not in line:
                self.assertLessEqual(len(line), 80, line)

    def test_it_fails_if_the_counts_differ(self):
        with tempfile.TemporaryDirectory() as folder:
            examples = pathlib.Path(folder) / "examples"
            examples.mkdir()
            wrong = examples / "wordcount"
            wrong.write_text("#!/bin/sh\necho '1 word'\n")
            wrong.chmod(0o755)
            done = subprocess.run([DEMO[0], folder, self.TEXT], capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"not what sort | uniq -c counts", done.stderr)

    def test_it_leaves_no_process_behind_when_it_is_broken_off(self):
        demo = subprocess.Popen([*DEMO, self.TEXT, "1"], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(demo.wait)
        for line in demo.stdout:
            if b"panicked" in line:
                break
        demo.send_signal(signal.SIGTERM)
        #  Its output ends when all that hold it have.
        demo.communicate(timeout=60)
        self.assertEqual(demo.returncode, 143)
        with self.assertRaises(ProcessLookupError):
            os.killpg(demo.pid, 0)


if __name__ == "__main__":
    unittest.main()
