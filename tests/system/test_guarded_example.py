#  guarded: it dies twice and comes back, and knows why; without a guardian nothing happens to it.
#
#  SPDX-License-Identifier: Apache-2.0

import os
import resource
import subprocess
import unittest

from support import BUILD, LAUNCHER, SOURCE

GUARDED = [*LAUNCHER, BUILD / "examples" / "guarded"]

# Sanitizers end a program by its exit status.
CAUSE = r"(killed by SIGSEGV|exited with status \d+)"


def run(**variables):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return subprocess.run(GUARDED, capture_output=True, timeout=60, text=True,
                          env=dict(os.environ, **variables))


@unittest.skipIf(LAUNCHER, "what runs it is executed as the child")
class Guarded(unittest.TestCase):
    def test_it_dies_twice_and_comes_back_each_time(self):
        done = run()
        self.assertRegex(done.stdout, "\\Athe first life begins\n"
                                      f"life 2 begins: the last one was {CAUSE}\n"
                                      f"life 3 begins: the last one was {CAUSE}\n"
                                      "done\n\\Z")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_each_death_is_a_line_on_stderr(self):
        lines = [line for line in run(RESIL_LOG="warn").stderr.splitlines()
                 if "supervisor=guardian" in line]
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[0], f"guarded#1 failed: {CAUSE}, restart 1 of 5 in 60 s, "
                                   "next try at once")
        self.assertRegex(lines[1], f"guarded#2 failed: {CAUSE}, restart 2 of 5 in 60 s, "
                                   "next try in ")

    def test_without_a_guardian_it_is_as_it_was(self):
        done = run(RESIL_GUARDIAN="0")
        self.assertEqual(done.stdout, "the first life begins\ndone\n")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_its_unit_is_the_one_that_the_guide_shows(self):
        unit = (SOURCE / "examples/guarded.service").read_text()
        guide = (SOURCE / "docs/guide/surviving-crashes.md").read_text()
        self.assertIn("```ini\n" + unit[unit.index("[Unit]"):] + "```\n", guide)


if __name__ == "__main__":
    unittest.main()
