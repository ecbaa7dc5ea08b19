#  tree: what its injector does to it is seen in its output, and so is that all are up again; it stops in
#  reverse order, by itself and by a signal.
#
#  ctest timeout: 180
#
#  SPDX-License-Identifier: Apache-2.0

import contextlib
import re
import signal
import subprocess
import threading
import unittest

from support import BUILD, LAUNCHER

PROGRAM = [*LAUNCHER, BUILD / "examples" / "tree"]
DEADLINE_S = 120

IN_ORDER = ["display", "storage", "processing", "scaler", "acquisition", "sensor 1", "sensor 2",
            "sensor 3", "injector"]
SUPERVISORS = {"processing", "acquisition"}
STANDING = re.compile(r" +(\S.*?) +#(\d+) +(\w+) ")


@contextlib.contextmanager
def tree(*arguments):
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    #  Its errors are read meanwhile, so that it never waits for us; and it ends with the deadline.
    errors = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    timer = threading.Timer(DEADLINE_S, process.kill)
    timer.start()
    try:
        yield process, errors
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()


def snapshots(lines):
    """Each printed tree, as it comes: what each one in it is at, and its text."""
    standing, text = {}, ""
    for line in lines:
        found = STANDING.match(line)
        if found:
            standing[found.group(1)] = (int(found.group(2)), found.group(3))
        text += line
        if found and found.group(1) == IN_ORDER[-1]:
            yield standing, text
            standing, text = {}, ""


class TreeExample(unittest.TestCase):
    def test_failures_and_recoveries_are_seen_and_a_signal_stops_it_in_reverse_order(self):
        seen = ""
        with tree() as (process, errors):
            for standing, text in snapshots(process.stdout):
                seen += text
                all_are_up = all(state == "up" for _, state in standing.values())
                #  After the last of its faults the injector leaves it in peace for some seconds.
                if all_are_up and standing["storage"][0] > 1 and "calm" not in text:
                    break
            self.assertEqual(list(standing), IN_ORDER, seen)
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            self.assertEqual(process.wait(), 0, seen + rest)
        for failure in ("sensor 1#1 failed: told to fail", "sensor 2#1 panicked: told to panic",
                        "sensor 3#1 hangs: no progress within 500 ms", "scaler#1 failed: told to",
                        "processing#1 gave up: scaler#3 failed: told to fail",
                        "storage#1 failed: told to fail"):
            self.assertIn(failure, seen + errors[0])
        for name, (incarnation, _) in standing.items():
            self.assertEqual(incarnation > 1, name != "display", seen)
        ends = re.findall(r"^(.*) ends$", rest, re.MULTILINE)
        self.assertEqual(ends, [name for name in reversed(IN_ORDER) if name not in SUPERVISORS],
                         seen + rest)

    def test_it_ends_by_itself_after_the_seconds_that_it_was_given(self):
        with tree("2") as (process, _):
            output = process.stdout.read()
            self.assertEqual(process.wait(), 0, output)
        self.assertEqual(re.findall(r"after (\d+) s:", output), ["1", "2"])
        self.assertTrue(output.endswith("display ends\n"), output)

    def test_what_is_no_number_of_seconds_is_refused(self):
        for argument in "0", "soon", "-1":
            done = subprocess.run([*PROGRAM, argument], capture_output=True, timeout=DEADLINE_S)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"usage", done.stderr)


if __name__ == "__main__":
    #  What a shell has ignored for its background jobs would be ignored in the example too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.main()
