"""component.py: a client of the component protocol in Python, against a parent that speaks it frame by frame.

ctest timeout: 120
SPDX-License-Identifier: Apache-2.0
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

from support import PATIENCE, SOURCE, need_module

need_module("zmq", "python3-zmq")
import zmq  # noqa: E402

TOKEN = "0123456789abcdef0123456789abcdef"
HELLO, READY, ERROR, ENDS, START, ACK, CANCEL, LATER = 1, 2, 4, 5, 64, 65, 66, 200


def text(string):
    return struct.pack("<H", len(string)) + string.encode()


def take_text(body, at):
    size, = struct.unpack_from("<H", body, at)
    return body[at + 2:at + 2 + size].decode(), at + 2 + size


class Parent:
    """The two sockets, and one child."""

    def __init__(self, folder, *command):
        self.context = zmq.Context()
        self.errors, self.control = (self.context.socket(zmq.ROUTER) for _ in range(2))
        self.errors.bind(f"ipc://{folder}/errors")
        self.control.bind(f"ipc://{folder}/control")
        self.peers = {}
        environment = dict(os.environ, RESIL_PROTOCOL="1", RESIL_ERRORS=f"ipc://{folder}/errors",
                           RESIL_CONTROL=f"ipc://{folder}/control", RESIL_TOKEN=TOKEN,
                           RESIL_PATH="/app/counter", RESIL_INCARNATION="3")
        self.child = subprocess.Popen([sys.executable, *map(str, command)], env=environment,
                                      stdout=subprocess.PIPE, text=True)

    def hear(self, kind, socket=None):
        """The body of the next frame, which must be of that kind."""
        socket = socket or self.errors
        assert socket.poll(PATIENCE * 1000), f"no frame of kind {kind}"
        peer, frame = socket.recv_multipart()
        magic, version, is_kind, _, _, incarnation = struct.unpack_from("<cBBBIQ", frame)
        assert (magic, version, is_kind, incarnation) == (b"r", 1, kind, 3), frame
        self.peers[socket] = peer
        return frame[16:]

    def say(self, kind, body=b""):
        frame = struct.pack("<cBBBIQ", b"r", 1, kind, 0, 0, 3) + body
        self.control.send_multipart([self.peers[self.control], frame])

    def greet(self):
        for socket in self.errors, self.control:
            token, at = take_text(self.hear(HELLO, socket), 0)
            assert token == TOKEN
        self.say(START, text("counter") + text("app") + text("") + bytes(5) + bytes(5) + bytes(1) +
                 struct.pack("<qqqQQQ", 30000, 5000, -1, 10000, 1 << 26, 1))
        self.hear(READY)

    def end(self):
        """What it has printed, and its status."""
        printed, _ = self.child.communicate(timeout=PATIENCE)
        self.context.destroy(linger=0)
        return printed, self.child.returncode


class Component(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_example(self, *arguments):
        parent = Parent(self.folder, SOURCE / "examples" / "component.py", *arguments)
        self.addCleanup(parent.child.stdout.close)
        self.addCleanup(parent.child.kill)
        return parent

    def test_it_works_until_it_is_cancelled(self):
        (self.folder / "lines").write_text("one\ntwo\nthree\n")
        parent = self.run_example(self.folder / "lines")
        parent.greet()
        self.assertEqual(parent.child.stdout.readline(), f"{self.folder}/lines: 3 lines\n")
        parent.say(LATER, b"of a version to come")
        self.assertEqual(parent.child.stdout.readline(), f"{self.folder}/lines: 3 lines\n")
        parent.say(CANCEL)
        self.assertEqual(parent.hear(ENDS)[0], 4)
        self.assertEqual(parent.end()[1], 0)

    def test_its_failure_is_told_and_waits_for_the_ack(self):
        parent = self.run_example(self.folder / "nowhere")
        parent.greet()
        body = parent.hear(ERROR)
        code, _ = struct.unpack_from("<iI", body)
        _, at = take_text(body, 8)
        reason, at = take_text(body, at)
        self.assertEqual(code, 2)
        self.assertIn("nowhere", reason)
        self.assertFalse(parent.errors.poll(100))
        parent.say(ACK)
        self.assertEqual(parent.hear(ENDS)[0], 2)
        self.assertEqual(parent.end(), ("", 1))


if __name__ == "__main__":
    unittest.main()
