"""crashy: in a process the parser's crashes stay there; in a thread the first one is the end.

SPDX-License-Identifier: Apache-2.0
"""

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from support import BUILD, LAUNCHER, PATIENCE

CRASHY = [*LAUNCHER, BUILD / "examples" / "crashy"]
LINES = "one: 1\ntwo: 2\nbad\nthree: 3\nworse\nfour: 4\n"


class Crashy(unittest.TestCase):
    def run_it(self, lines, *placement):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "lines"
            path.write_text(lines)
            return subprocess.run([*CRASHY, path, *placement], capture_output=True, text=True,
                                  timeout=2 * PATIENCE, env=dict(os.environ, RESIL_LOG="silent"),
                                  check=False)

    def test_in_a_process_it_keeps_counting(self):
        done = self.run_it(LINES, "process")
        told = done.stdout.splitlines()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(told), 3, told)
        self.assertIn("parser#1: killed by SIGSEGV", told[0])
        self.assertIn("parser#2: killed by SIGSEGV", told[1])
        self.assertEqual(told[2], "4 good lines, in sum 10")

    def test_in_a_thread_it_counts_good_lines_as_well(self):
        done = self.run_it("one: 1\ntwo: 2\n", "thread")
        self.assertEqual((done.returncode, done.stdout), (0, "2 good lines, in sum 3\n"), done.stderr)

    def test_in_a_thread_a_bad_line_is_the_end(self):
        done = self.run_it(LINES, "thread")
        self.assertIn(done.returncode, (-signal.SIGSEGV, 1, 66))  # a sanitizer has its own
        self.assertNotIn("good lines", done.stdout)

    def test_it_says_how_it_is_called(self):
        self.assertEqual(self.run_it("").returncode, 2)


if __name__ == "__main__":
    unittest.main()
