#  hello: what README shows first.
#
#  SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import unittest

from support import BUILD, LAUNCHER, SOURCE

HELLO = [*LAUNCHER, BUILD / "examples" / "hello"]

EXPECTED = b"""\
hello from incarnation 1
hello from incarnation 2
hello from incarnation 3
done
"""


class Hello(unittest.TestCase):
    def test_it_dies_twice_and_comes_back_each_time(self):
        done = subprocess.run(HELLO, capture_output=True, timeout=60)
        self.assertEqual(done.stdout, EXPECTED)
        self.assertEqual(done.returncode, 0)

    def test_each_death_is_a_line_on_stderr(self):
        environment = dict(os.environ, RESIL_LOG="warn")
        done = subprocess.run(HELLO, capture_output=True, timeout=60, env=environment)
        lines = done.stderr.decode().splitlines()
        for incarnation in 1, 2:
            died = f"greeter#{incarnation} failed: out of luck, lives left: {3 - incarnation}"
            self.assertEqual(len([line for line in lines if died in line]), 1, lines)

    def test_it_says_nothing_there_when_the_log_is_silent(self):
        environment = dict(os.environ, RESIL_LOG="silent")
        done = subprocess.run(HELLO, capture_output=True, timeout=60, env=environment)
        if not LAUNCHER:
            self.assertEqual(done.stderr, b"")
        self.assertEqual(done.stdout, EXPECTED)

    def test_it_is_under_30_lines(self):
        source = SOURCE / "examples" / "hello.c"
        self.assertLess(len(source.read_text().splitlines()), 30)


if __name__ == "__main__":
    unittest.main()
