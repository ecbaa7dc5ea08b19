#!/usr/bin/env python3
"""component: a resil component in Python, by the protocol of docs/protocols/component.md.

It counts the lines of a file, and fails if it is not there: run it as a component with `speaks = resil`.
SPDX-License-Identifier: Apache-2.0
"""

import os
import struct
import sys

import zmq

HELLO, READY, ERROR, ENDS = 1, 2, 4, 5
START, ACK, CANCEL = 64, 65, 66
COMPLETED, FAILED, CANCELLED = 1, 2, 4

context = zmq.Context()
errors, control = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
errors.connect(os.environ["RESIL_ERRORS"])
control.connect(os.environ["RESIL_CONTROL"])
incarnation = int(os.environ["RESIL_INCARNATION"])


def text(string):
    return struct.pack("<H", len(string.encode())) + string.encode()


def say(kind, body=b"", socket=errors):
    socket.send(struct.pack("<cBBBIQ", b"r", 1, kind, 0, 0, incarnation) + body)


def hear(timeout_ms=None):
    """The kind of the next frame, or None; START says which incarnation this is, if that was not known."""
    global incarnation
    if not control.poll(timeout_ms):
        return None
    frame = control.recv()
    incarnation = struct.unpack_from("<Q", frame, 8)[0]
    return frame[2]


def error(code=0, string=""):
    return struct.pack("<iI", code, 0) + text("") + text(string) + text("")


def end(how, status, rc=0):
    say(ENDS, struct.pack("<Bi", how, rc) + error())
    context.destroy(linger=2000)
    sys.exit(status)


for socket in errors, control:
    say(HELLO, text(os.environ["RESIL_TOKEN"]) + struct.pack("<I", os.getpid()), socket)
while hear() != START:
    pass
say(READY)
try:
    while hear(timeout_ms=200) != CANCEL:  # every 200 ms; a frame that is not for us is passed over
        with open(sys.argv[1], encoding="utf-8") as file:
            print(f"{sys.argv[1]}: {sum(1 for line in file)} lines", flush=True)
except OSError as reason:
    say(ERROR, error(reason.errno, str(reason)))
    while hear() not in (ACK, CANCEL):
        pass
    end(FAILED, 1)
end(CANCELLED, 0)
