#  stream_example: standard output is exactly four lines, the last when SIGINT has come, again and
#  again, and beside two busy processes too. RUNS says how often each; 200 if it is not set, and
#  fewer where each run is slow.
#
#  ctest timeout: 300
#
#  SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

from support import BUILD, LAUNCHER

PROGRAM = [*LAUNCHER, BUILD / "examples" / "stream_example"]
RUNS = int(os.environ.get("RUNS") or (10 if LAUNCHER else 200))
DEADLINE_S = 60

EXPECTED = b"""\
starting component task
Received irrecoverable error: missing something required
starting component task
terminating component task
"""


def read_until(pipe, seen):
    """Read the pipe until seen (what was read) is true, or it ends, or the deadline."""
    read = b""
    deadline = time.monotonic() + DEADLINE_S
    while not seen(read):
        ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"read only {read!r}")
        more = os.read(pipe.fileno(), 4096)
        if not more:
            break
        read += more
    return read


@contextlib.contextmanager
def example():
    process = subprocess.Popen(PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def busy_processes(count):
    #  They end with this test, however it ends.
    spin = f"import os\nwhile os.getppid () == {os.getpid()}: pass"
    busy = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


class StreamExample(unittest.TestCase):
    def run_to_a_signal(self, signal_number):
        with example() as process:
            output = read_until(process.stdout, lambda read: read.count(b"\n") >= 3)
            process.send_signal(signal_number)
            rest, errors = process.communicate(timeout=DEADLINE_S)
            self.assertEqual(output + rest, EXPECTED, errors)
            self.assertEqual(process.returncode, 0, errors)

    def test_its_output_is_the_four_lines_each_time(self):
        for _ in range(RUNS):
            self.run_to_a_signal(signal.SIGINT)

    def test_its_output_is_the_four_lines_each_time_under_load(self):
        with busy_processes(2):
            for _ in range(RUNS):
                self.run_to_a_signal(signal.SIGINT)

    def test_sigterm_ends_it_the_same_way(self):
        self.run_to_a_signal(signal.SIGTERM)

    def test_it_greets_who_connects_once_it_has_what_was_missing(self):
        with example() as process:
            errors = read_until(process.stderr, lambda read: re.search(rb"listening on .*\n", read))
            port = int(re.search(rb"listening on tcp://127.0.0.1:(\d+)", errors).group(1))
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as peer:
                    self.assertEqual(peer.makefile("rb").readline(), b"hello\n")
                    peer.sendall(b"what it does not ask for is no harm\n" * 10)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=DEADLINE_S)
            self.assertEqual(output, EXPECTED, errors)
            self.assertEqual(process.returncode, 0, errors)


if __name__ == "__main__":
    #  What a shell has ignored for its background jobs would be ignored in the example too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.main()
