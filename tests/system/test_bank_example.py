#  bank: its books balance, whoever fails; some transfers are called off, and some requests made again.
#
#  ctest timeout: 180
#
#  SPDX-License-Identifier: Apache-2.0

import re
import subprocess
import unittest

from support import BUILD, LAUNCHER

BANK = [*LAUNCHER, BUILD / "examples" / "bank"]


class BankExample(unittest.TestCase):
    def test_the_books_balance(self):
        for seed in [], ["2"], ["3"]:
            done = subprocess.run([*BANK, *seed], capture_output=True, text=True, timeout=150)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertTrue(done.stdout.endswith("the books balance\n"), done.stdout)
            numbers = re.search(r"(\d+) failures\n(\d+) transfers were made, (\d+) called off; "
                                r"(\d+) requests were made again; (\d+) answers", done.stdout)
            for number in numbers.groups():
                self.assertGreater(int(number), 0, done.stdout)

    def test_what_is_no_seed_is_refused(self):
        done = subprocess.run([*BANK, "one"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"usage", done.stderr)


if __name__ == "__main__":
    unittest.main()
