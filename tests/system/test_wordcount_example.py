#  wordcount: what a pipeline counts, with a stage that dies now and then, is what there is.
#
#  SPDX-License-Identifier: Apache-2.0

import collections
import os
import re
import subprocess
import tempfile
import unittest

from support import BUILD, LAUNCHER, SOURCE

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


if __name__ == "__main__":
    unittest.main()
