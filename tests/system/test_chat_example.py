#  chat: its clumsy users come back, and nobody loses a line, whoever is clumsy.
#
#  ctest timeout: 180
#
#  SPDX-License-Identifier: Apache-2.0

import re
import subprocess
import unittest

from support import BUILD, LAUNCHER

CHAT = [*LAUNCHER, BUILD / "examples" / "chat"]


class ChatExample(unittest.TestCase):
    def test_nothing_is_lost(self):
        seen = set()
        for seed in [], ["1"], ["2"]:
            done = subprocess.run([*CHAT, *seed], capture_output=True, text=True, timeout=100)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("heard 200000 times, 0 of them out of order", done.stdout)
            clumsy = re.findall(r"^(user \d+) came back 2 times", done.stdout, re.MULTILINE)
            self.assertEqual(len(clumsy), 10, done.stdout)
            seen.add(tuple(clumsy))
        self.assertEqual(len(seen), 2, "none is seed 1, and each seed has others")

    def test_what_is_no_seed_is_refused(self):
        done = subprocess.run([*CHAT, "one"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"usage", done.stderr)


if __name__ == "__main__":
    unittest.main()
