"""Events with numbers and texts that a fuzzer makes up (tests/support/fuzzer.py), told as JSON, as a line and as bytes.

ctest label: soak
ctest timeout: 7200

SPDX-License-Identifier: Apache-2.0
"""

from fuzzer import fuzz
from support import BUILD


def number(value):
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def text(value, room):
    data = value if isinstance(value, bytes) else value.encode()
    scale = room // 200 + 1
    return bytes([min(255, -(-len(data) // scale))]) + data + b"\0"


def event(flags, kind, path, by="", command="", request="", why="", error=b""):
    """As fuzz_event.c reads one."""
    head = bytes([flags, kind]) + number(17) + number(3) + number(8124009113) + \
        number(1769860800123456) + number(4) + bytes([2, 4]) + \
        (b"" if flags & 4 else number(100)) + bytes([1])
    return head + text(by, 769) + text(command, 72) + text(request, 72) + bytes([3]) + \
        (bytes([13]) if flags & 16 else b"") + text(why, 640) + number(5) + text(path, 768) + error


def error(kind, component, file, said):
    return bytes([kind]) + number(104) + number(12) + number(4) + number(8124009000) + \
        text(component, 256) + text(file, 256) + text(said, 1024)


fuzz("fuzz_event",
     ["src/monitor/event_json.c", "src/supervisor/event_codec.c", "src/foundation/json_writer.c",
      "src/foundation/logfmt.c", "src/foundation/text.c", "src/watcher/wire.c"],
     [event(4, 0, "app/web"),
      event(32, 0, "app/web", error=error(0, "web", "web.c", "read: Connection reset by peer")),
      event(63, 0, "a\u00e4\u6f22", "/app/b", error=error(9, "x", b"\xff/\x80.c", b"\xc3 \"q\"\n\t\\")),
      event(4 + 8 + 16, 7, "app", "key ops@10.0.0.7", "restart", "a1", "no"),
      event(4 + 16, 8, "app", "unknown@tcp", "connect", "", b"\xed\xa0\x80"),
      event(4, 6, "app/p", "", "", "", "3 done"),
      event(4, 9, "app/p/s", "", "", "", "d" * 600)],
     [BUILD / "src/libresil.a", "-lczmq", "-lzmq", "-ljansson"])
