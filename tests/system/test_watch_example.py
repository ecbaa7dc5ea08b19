#  watch.py: what it prints of a program that is steered meanwhile.
#
#  SPDX-License-Identifier: Apache-2.0

import re
import subprocess
import sys
import unittest

from support import PATIENCE, SOURCE, need_module
from watched import Lines, home, remote, resil

need_module("zmq", "python3-zmq")


class WatchExample(unittest.TestCase):
    def test_it_prints_beats_and_every_event_in_order(self):
        with home() as environment, remote(environment) as (_, endpoint):
            watch = subprocess.Popen([sys.executable, SOURCE / "examples/watch.py", endpoint],
                                     text=True, stdout=subprocess.PIPE)
            lines = Lines(watch.stdout)
            try:
                lines.wait_for(lambda: any(re.match("remote is at event", line) for line in lines),
                               "a beat")
                for _ in range(3):
                    self.assertEqual(resil(environment, "restart", "/remote/worker")[0], 0)
                lines.wait_for(
                    lambda: len(re.findall("'/remote/worker' command", "".join(lines))) == 6,
                    "the events of three commands")
            finally:
                watch.kill()
                watch.wait(PATIENCE)
                lines.close()
        numbers = [int(line.split()[0]) for line in lines if line[0].isdigit()]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertIn("'/remote/worker' starting -> up\n", [line.split(" ", 1)[1] for line in lines])

    def test_it_says_how_it_is_used(self):
        done = subprocess.run([sys.executable, SOURCE / "examples/watch.py"], capture_output=True,
                              text=True, timeout=PATIENCE)
        self.assertEqual(done.stderr, "usage: watch.py tcp://HOST:PORT\n")


if __name__ == "__main__":
    unittest.main()
