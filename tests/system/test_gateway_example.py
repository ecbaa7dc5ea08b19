#  gateway: what is sent comes out, at least once, though its parser is killed and what it asks dies; what no stage can work
#  on is in the file of the dead.
#
#  ctest timeout: 180
#
#  SPDX-License-Identifier: Apache-2.0

import collections
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from support import BUILD, LAUNCHER
from watched import wait_for

GATEWAY = [*LAUNCHER, BUILD / "examples" / "gateway"]
PATIENCE_S = 60


class Gateway(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name) / "out"
        self.dead = pathlib.Path(folder.name) / "dead"

    def start(self, port="0"):
        self.gateway = subprocess.Popen([*GATEWAY, port, self.out, self.dead], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, RESIL_LOG="silent"))
        self.addCleanup(self.gateway.communicate)
        self.addCleanup(self.gateway.kill)
        said = re.match(r"listening on 127\.0\.0\.1:(\d+)", self.gateway.stdout.readline())
        return int(said[1]) if said else None

    def stop(self):
        self.gateway.send_signal(signal.SIGTERM)
        out, errors = self.gateway.communicate(timeout=PATIENCE_S)
        self.assertEqual(self.gateway.returncode, 0, errors)

    @staticmethod
    def send(port, lines):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall("".join(f"{line}\n" for line in lines).encode())

    def await_lines(self, least):
        wait_for(lambda: self.out.exists() and self.out.read_text().count("\n") >= least,
                 f"{least} lines")

    def kill_parser(self):
        """False: there was none at that moment."""
        children = f"/proc/{self.gateway.pid}/task"
        for task in os.listdir(children):
            try:
                for child in pathlib.Path(children, task, "children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
                    return True
            except (FileNotFoundError, ProcessLookupError):
                pass
        return False

    def test_what_is_sent_comes_out_whatever_dies(self):
        port = self.start()
        senders = [threading.Thread(target=self.send, args=(port, [f"{room} {i}" for i in range(700)]))
                   for room in ("kitchen", "bedroom", "attic")]
        for sender in senders:
            sender.start()
        kills = 0
        for least in 50, 500, 1000, 1500:
            self.await_lines(least)
            kills += self.kill_parser()
        for sender in senders:
            sender.join()
        self.await_lines(2100)
        self.stop()
        counts = collections.Counter(self.out.read_text().splitlines())
        wanted = {f"{floor}, {room}: {i}.0" for i in range(700)
                  for floor, room in (("ground floor", "kitchen"), ("first floor", "bedroom"),
                                      ("second floor", "attic"))}
        self.assertEqual(set(counts), wanted)
        self.assertGreater(kills, 0)
        self.assertEqual(self.dead.read_text(), "")

    def test_what_no_stage_can_work_on_is_with_the_dead(self):
        port = self.start()
        self.send(port, ["kitchen 1", "nonsense", "cellar 2", "attic 3"])
        self.await_lines(2)
        self.stop()
        self.assertEqual(self.out.read_text(), "ground floor, kitchen: 1.0\nsecond floor, attic: 3.0\n")
        dead = self.dead.read_text()
        self.assertRegex(dead, r"parse: nonsense\nattempt 1: .* killed by SIGABRT.*\n"
                               r"attempt 2: .*\nattempt 3: .*\n\n")
        self.assertIn("enrich: cellar 2.0\nattempt 1: nobody knows where that is\n\n", dead)

    def test_what_it_has_taken_is_done_before_it_ends(self):
        port = self.start()
        self.send(port, [f"kitchen {i}" for i in range(300)])
        self.await_lines(1)
        self.stop()
        lines = self.out.read_text().splitlines()
        self.assertEqual(lines, [f"ground floor, kitchen: {i}.0" for i in range(len(lines))])

    def test_a_port_that_is_in_use_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.assertIsNone(self.start(str(port)))
            errors = self.gateway.communicate(timeout=PATIENCE_S)[1]
        self.assertEqual(self.gateway.returncode, 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}: Address already in use", errors)

    def test_without_its_arguments_it_says_how_it_is_used(self):
        done = subprocess.run(GATEWAY, capture_output=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"usage", done.stderr)


if __name__ == "__main__":
    unittest.main()
