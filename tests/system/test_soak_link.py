"""Frames of a link that a fuzzer makes up (tests/support/fuzzer.py), beginning with the examples of the protocol, and with
the talk of a sender and a receiver from HELLO to BYE.

ctest label: soak
ctest timeout: 7200

SPDX-License-Identifier: Apache-2.0
"""

import re
import struct

from fuzzer import fuzz
from support import SOURCE

HELLO, WELCOME, DATA, ACK, NACK, PING, EOS, BYE = range(1, 9)
WHO, RESEND = 1, 2
COMPLETED, ABORTED = 1, 2


def examples():
    text = (SOURCE / "docs/protocols/link.md").read_text()
    for block in re.findall(r"```text\n(72 6c .*?)```", text, re.DOTALL):
        lines = [re.match(r"(?:[0-9a-f]{2} ? ?)+", line).group() for line in block.splitlines()]
        yield bytes.fromhex("".join(lines))


def frame(kind, sequence=0, reason=0, position=0, payload=b"", count=0, limits=(0, 0)):
    """Of link 7, session 3, sender 4 and receiver 5; the fuzzer puts the CRC into it."""
    return b"rl" + struct.pack("<BBB3xII10Q", 1, kind, reason, count, 0, 7, 3, 4, 5, sequence,
                               position, *limits, 0, len(payload)) + payload


def record(size):
    return struct.pack("<I", size) + b"x" * size


def talk(*frames):
    return b"".join(struct.pack("<H", len(one)) + one for one in frames)


found = list(examples())
assert len(found) == 3, found
fuzz("fuzz_link",
     ["src/link/batch.c", "src/link/frame.c", "src/link/sender.c",
      "src/link/receiver.c", "src/foundation/errmsg.c", "src/foundation/crc32c.c",
      "src/foundation/text.c", "src/foundation/lock.c", "tests/fuzz/without_process.c"],
     [talk(*found),
      talk(frame(NACK, reason=WHO), frame(WELCOME, 1, limits=(4, 64)), frame(ACK, 1, limits=(5, 71)),
           frame(NACK, 2, RESEND), frame(ACK, 4, limits=(8, 100)), frame(BYE, reason=ABORTED)),
      talk(frame(HELLO, 1), frame(DATA, 1, payload=record(3), count=1), frame(PING, 2),
           frame(DATA, 2, position=7, payload=record(0) + record(9), count=2),
           frame(EOS, 3, position=24), frame(BYE, reason=COMPLETED)),
      talk(frame(HELLO, 1), frame(DATA, 2, position=7, payload=record(3), count=1)),
      talk(frame(HELLO, 2**62, position=2**62), frame(DATA, 2**62, position=2**62, count=1)),
      talk(frame(99), b"rl", b"")])
