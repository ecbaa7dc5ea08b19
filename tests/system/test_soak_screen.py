"""What the command's tables and screens show of anything a program could say, made up by a fuzzer (tests/support/fuzzer.py).

ctest label: soak
ctest timeout: 7200

SPDX-License-Identifier: Apache-2.0
"""

from fuzzer import fuzz
from support import BUILD

BEAT = ('{"seq":3,"program":"p","host":"h","pid":7,"role":"operator","control":"ipc:///c","at_us":9000000,'
        '"uptime_us":5000000,"why":"w"}\n')
NODES = ('{"path":"/a","level":0,"supervisor":true,"state":"up","up_us":3}\n'
         '{"path":"/a/b\\u6f22","level":1,"state":"waiting","pending_us":9,"restarts":2,"incarnation":4,'
         '"cause":{"kind":"hung","code":4,"text":"t\\u001b[2J\\nx","file":"f","line":3}}\n'
         '{"path":"/a/c","level":1,"state":"down","done":true}\n')
EVENTS = ('{"seq":4,"type":"state","path":"/a/b","from":"up","to":"failing","cause":{"kind":"reported","text":"t"}}\n'
          '{"seq":7,"type":"command","path":"/a","id":"1","do":"stop","stage":"failed","by":"key x","error":{"text":"no"}}\n')
PIPELINE = ('{"path":"/a/p","level":1,"state":"up","pipeline":{"stages":[{"name":"s","source":true,"type":"t",'
            '"components":["s"],"in":7,"done":5,"latency_us":{"count":3,"sum":9,"buckets":[[4,3]]}},{"name":"t",'
            '"components":["a","b"],"dead":1,"in":5,"paused":true}],"links":[{"from":"s","port":"p","to":"t",'
            '"share":"by key","stalls":2,"in_flight":3}]}}\n')


def keys(*codes, typed=""):
    return bytes(codes) + typed.encode() + b"\n"


fuzz("fuzz_screen",
     ["src/watcher/picture.c", "src/watcher/wire.c", "src/tools/describe.c", "src/tools/words.c",
      "src/tools/text.c", "src/tools/table.c", "src/tools/pipeline.c", "src/tools/top_view.c"],
     [keys(69, 61) + (BEAT + NODES + EVENTS).encode(),
      keys(170, 150, 1, 2, 0, 1, 1, 0, 3, 0, typed="/a/b") + (BEAT + NODES + PIPELINE).encode(),
      keys(69, 61, 5, 3, 1, 0, 0, 4, 4, 1, typed="stop /a?") + (BEAT + PIPELINE + EVENTS).encode(),
      keys(20, 20, 10, 4, 2, 2, 0, 200, 8, 3, typed="\u6f22\u6f22") + (BEAT + NODES).encode(),
      keys(0, 0) + PIPELINE.encode()],
     [BUILD / "src/libresil.a", "-lczmq", "-lzmq", "-ljansson"])
