#  feed: every source that it takes, everything that can become of a connection, and the demo.
#
#  ctest timeout: 300
#
#  SPDX-License-Identifier: Apache-2.0

import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from support import BUILD, LAUNCHER, SOURCE

FEED = [*LAUNCHER, BUILD / "examples" / "feed"]
DEMO = [SOURCE / "examples" / "feed_demo.sh", BUILD]
DEADLINE_S = 60
LINE_MAX = 65536


def run(*arguments, **options):
    return subprocess.run([*FEED, *arguments], capture_output=True, timeout=DEADLINE_S, **options)


def figures(output):
    """The summary as a dictionary of numbers."""
    found = re.findall(r"^([a-z][a-z ]*?) +([0-9.]+)(?: s)?$", output.decode(), re.MULTILINE)
    return {name: float(number) for name, number in found}


class Figures(unittest.TestCase):
    def assert_figures(self, output, **expected):
        seen = figures(output)
        for name, number in expected.items():
            self.assertEqual(seen.get(name.replace("_", " ")), number, (name, output))


class Files(Figures):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "lines")

    def count(self, content):
        """feed's output on a file of that content, and on a pipe, which must be the same."""
        with open(self.path, "wb") as file:
            file.write(content)
        of_file = run(self.path)
        of_pipe = run("-", input=content)
        for done in (of_file, of_pipe):
            self.assertEqual(done.returncode, 0, done)
        self.assertEqual(of_file.stdout, of_pipe.stdout)
        return of_file.stdout

    def test_lines_and_bytes_are_counted(self):
        self.assert_figures(self.count(b"one\ntwo\n\nfour\n"), lines=4, bytes=14, restarts=0,
                            connection_losses=0, longest_gap=0)

    def test_an_empty_file_has_no_lines(self):
        self.assert_figures(self.count(b""), lines=0, bytes=0, restarts=0)

    def test_a_last_line_without_its_newline_counts(self):
        self.assert_figures(self.count(b"one\ntwo"), lines=2, bytes=7)

    def test_bytes_of_any_value_are_taken(self):
        content = bytes(range(256)) * 1000
        self.assert_figures(self.count(content), lines=1001, bytes=len(content))

    def test_a_large_file_is_counted_to_the_last_line(self):
        content = b"".join(b"line %d\n" % number for number in range(1000000))
        self.assert_figures(self.count(content), lines=1000000, bytes=len(content))

    def test_the_longest_line_allowed_is_a_line(self):
        content = b"before\n" + b"x" * LINE_MAX + b"\nafter\n"
        self.assert_figures(self.count(content), lines=3, bytes=len(content), restarts=0)

    def test_a_line_that_is_too_long_is_reported_and_skipped(self):
        content = b"before\n" + b"x" * (LINE_MAX + 1) + b"\nafter\nlast"
        output = self.count(content)
        self.assert_figures(output, lines=3, bytes=len(content), restarts=1, lines_too_long=1)
        self.assertIn(b"line 2 of - is longer than 65536 bytes", run("-", input=content).stderr)

    def test_so_is_each_of_several_of_any_length(self):
        content = b"".join(b"x" * length + b"\n" for length in
                           (LINE_MAX + 1, 3, 3 * LINE_MAX, 0, 2 * LINE_MAX + 1)) + b"y" * 100000
        output = self.count(content)
        self.assert_figures(output, lines=2, bytes=len(content), restarts=4, lines_too_long=4)

    def test_a_file_that_cannot_be_read_is_a_failure_with_its_reason(self):
        for path, reason in ((self.path, b"No such file or directory"),
                             (os.path.dirname(self.path), b"Is a directory")):
            done = run(path)
            self.assertEqual(done.returncode, 1)
            self.assertIn(reason, done.stderr)

    def test_a_fifo_is_waited_for(self):
        os.mkfifo(self.path)
        process = subprocess.Popen([*FEED, self.path], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        with open(self.path, "wb") as fifo:
            fifo.write(b"one\ntwo\n")
        output, errors = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0, errors)
        self.assert_figures(output, lines=2, bytes=8)


class Usage(unittest.TestCase):
    def test_help_is_on_standard_output(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"usage: feed", done.stdout)

    def test_wrong_usage_is_told_and_is_status_2(self):
        for arguments in ([], ["a", "b"], ["--unknown", "-"], ["--for", "-"], ["--for", "0", "-"],
                          ["--for", "-1", "-"], ["--for", "x", "-"], ["--for", "nan", "-"],
                          ["--for", "1e30", "-"], ["tcp://"], ["tcp://localhost"], ["tcp://:1"],
                          ["tcp://localhost:"], ["tcp://localhost:0"], ["tcp://localhost:65536"],
                          ["tcp://localhost:1x"], ["tcp://localhost:-1"], ["tcp://::1:80"],
                          ["tcp://" + "h" * 300 + ":1"]):
            done = run(*arguments, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stdout, b"", arguments)
            self.assertNotEqual(done.stderr, b"", arguments)

    def test_figures_that_cannot_be_written_are_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([*FEED, "-"], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 1)


class Connections(Figures):
    """feed against a server in this process. The port is bound all the time, so that nobody
    else gets it: while it does not listen, a connection is refused."""

    def setUp(self):
        self.bind(socket.AF_INET, "127.0.0.1")

    def bind(self, family, host):
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.listener.settimeout(DEADLINE_S)
        self.listener.bind((host, 0))
        self.url = f"tcp://{'[' + host + ']' if ':' in host else host}:" \
                   f"{self.listener.getsockname()[1]}"

    def start(self, *arguments):
        process = subprocess.Popen([*FEED, *arguments, self.url], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.communicate()

    def accept(self):
        peer, _ = self.listener.accept()
        peer.settimeout(DEADLINE_S)
        self.addCleanup(peer.close)
        return peer

    def await_line(self, process, pattern):
        """Wait for a line on feed's stderr that has the pattern."""
        timer = threading.Timer(DEADLINE_S, process.kill)
        timer.start()
        try:
            for line in process.stderr:
                if re.search(pattern, line):
                    return line
        finally:
            timer.cancel()
        return self.fail(f"feed did not say {pattern}")

    def await_lines_counted(self, process, count):
        """Wait until feed's progress on its output says that many lines."""
        timer = threading.Timer(DEADLINE_S, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                if re.match(rb" *%d lines" % count, line):
                    return
        finally:
            timer.cancel()
        self.fail(f"feed did not count {count} lines")

    def stop(self, process, signal_number=signal.SIGINT):
        process.send_signal(signal_number)
        output, errors = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0, errors)
        return output

    def test_a_refused_connection_is_tried_again(self):
        process = self.start("--progress")
        self.await_line(process, rb"Connection refused")
        self.await_line(process, rb"Connection refused")
        self.listener.listen()
        self.accept().sendall(b"one\ntwo\n")
        self.await_lines_counted(process, 2)
        output = self.stop(process)
        self.assert_figures(output, lines=2, bytes=8, connection_losses=0, longest_gap=0)
        self.assertGreaterEqual(figures(output)["restarts"], 2)

    def test_a_peer_that_closes_is_a_loss_and_the_feed_goes_on(self):
        self.listener.listen()
        process = self.start("--progress")
        for _ in range(3):
            peer = self.accept()
            peer.sendall(b"one\ntwo\nunfinished")
            peer.close()
        self.accept().sendall(b"last\n")
        self.await_lines_counted(process, 7)
        output = self.stop(process)
        self.assert_figures(output, lines=7, bytes=3 * 18 + 5, connection_losses=3, restarts=3)
        self.assertGreater(figures(output)["longest gap"], 0)
        self.assertNotIn(b"no line since", output)

    def test_a_peer_that_resets_is_a_loss(self):
        self.listener.listen()
        process = self.start("--progress")
        peer = self.accept()
        peer.sendall(b"first\n")
        self.await_lines_counted(process, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        self.accept().sendall(b"last\n")
        self.await_lines_counted(process, 2)
        self.assert_figures(self.stop(process), lines=2, bytes=11, connection_losses=1)

    def test_a_loss_that_lasts_is_in_the_figures(self):
        self.listener.listen()
        process = self.start()
        peer = self.accept()
        peer.sendall(b"one\n")
        peer.close()
        self.accept()
        output = self.stop(process)
        self.assert_figures(output, lines=1, connection_losses=1, longest_gap=0)
        self.assertIn("no line since", figures(output))

    def test_a_line_that_is_too_long_ends_the_connection_and_not_the_feed(self):
        self.listener.listen()
        process = self.start("--progress")
        peer = self.accept()
        try:
            peer.sendall(b"x" * 4 * LINE_MAX)
            self.assertEqual(peer.recv(1), b"")
        except ConnectionError:
            pass
        self.accept().sendall(b"short\n")
        self.await_lines_counted(process, 1)
        self.assert_figures(self.stop(process), lines=1, lines_too_long=1, connection_losses=0,
                            restarts=1)

    def test_it_ends_while_nothing_comes(self):
        self.listener.listen()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            process = self.start()
            self.accept()
            self.assert_figures(self.stop(process, signal_number), lines=0, restarts=0)

    def test_it_ends_while_it_waits_to_connect_again(self):
        process = self.start()
        self.await_line(process, rb"Connection refused")
        self.assert_figures(self.stop(process), lines=0, connection_losses=0)

    def test_it_ends_while_lines_come_without_a_pause(self):
        self.listener.listen()
        process = self.start()
        peer = self.accept()
        sent = 0
        while sent < 100 * 1000 * 1000:
            peer.sendall(b"a line among many\n" * 10000)
            sent += 180000

        def go_on():
            try:
                while True:
                    peer.sendall(b"a line among many\n" * 10000)
            except OSError:
                pass

        sender = threading.Thread(target=go_on)
        sender.start()
        output = self.stop(process)
        sender.join()
        seen = figures(output)
        self.assertGreaterEqual(seen["bytes"], 90 * 1000 * 1000)
        self.assertEqual(seen["lines"], seen["bytes"] // 18)
        self.assertEqual(seen["restarts"], 0)

    def test_a_stop_by_its_stopwatch_is_a_stop_in_order(self):
        began_at = time.monotonic()
        process = self.start("--for", "0.5")
        output, errors = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0, errors)
        self.assertGreaterEqual(time.monotonic() - began_at, 0.5)
        self.assert_figures(output, lines=0)

    def test_the_stopwatch_does_not_hold_up_a_source_that_ends(self):
        done = run("--for", "100000", "-", input=b"one\n")
        self.assertEqual(done.returncode, 0)
        self.assert_figures(done.stdout, lines=1)

    def test_a_name_without_an_address_is_told_and_tried_again(self):
        process = subprocess.Popen([*FEED, "tcp://no-such-host.invalid:1"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.await_line(process, rb"no address for tcp://no-such-host.invalid:1")
        self.await_line(process, rb"no address for tcp://no-such-host.invalid:1")
        self.stop(process)

    def test_an_ipv6_address_in_brackets_is_taken(self):
        try:
            self.bind(socket.AF_INET6, "::1")
        except OSError:
            self.skipTest("no IPv6 on this machine")
        self.listener.listen()
        process = self.start("--progress")
        self.accept().sendall(b"one\n")
        self.await_lines_counted(process, 1)
        self.assert_figures(self.stop(process), lines=1, bytes=4)


class Demo(unittest.TestCase):
    def test_the_demo_sees_what_it_must(self):
        done = subprocess.run(DEMO, capture_output=True,
                              timeout=5 * DEADLINE_S)
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(" ".join(done.stdout.decode().split()),
                         r"killed 3 times\. The feed saw [3-9] connection losses")
        for line in done.stdout.decode().splitlines():
            self.assertLessEqual(len(line), 80, line)

    def test_it_leaves_no_process_behind_when_it_is_broken_off(self):
        demo = subprocess.Popen(DEMO, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(demo.wait)
        for line in demo.stdout:
            if b"killed" in line:
                break
        demo.send_signal(signal.SIGTERM)
        #  Its output ends when all that hold it have.
        demo.communicate(timeout=DEADLINE_S)
        self.assertEqual(demo.returncode, 143)
        with self.assertRaises(ProcessLookupError):
            os.killpg(demo.pid, 0)


if __name__ == "__main__":
    #  What a shell has ignored for its background jobs would be ignored in feed too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.main()
