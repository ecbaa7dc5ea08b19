"""What a program could say to those that watch it, made up by a fuzzer (tests/support/fuzzer.py).

ctest label: soak
ctest timeout: 7200

SPDX-License-Identifier: Apache-2.0
"""

from fuzzer import fuzz
from support import BUILD

OF = '"v":1,"run":"r","at_us":7,"wall_at_us":8'

fuzz("fuzz_watcher",
     ["src/watcher/follower.c", "src/watcher/notice.c", "src/watcher/picture.c",
      "src/watcher/wire.c", "src/tools/describe.c", "src/tools/words.c", "src/tools/prom.c",
      "src/tools/text.c", "src/tools/table.c", "src/tools/pipeline.c"],
     [f'{{{OF},"seq":4,"type":"state","path":"/a/b","from":"up","to":"failing","cause":'
      '{"kind":"hung","code":4,"text":"t","file":"f","line":3}}\n'
      f'{{{OF},"seq":5,"type":"added","path":"/a/c"}}\n{{{OF},"seq":8,"type":"removed","path":"/a"}}',
      f'{{{OF},"id":"me-1","ok":true,"result":{{"at_us":5,"seq":3,"nodes":[{{"path":"/a","level":0,'
      '"state":"up","up_us":3,"story":[{"cause":{"kind":"hung"},"then":"restart","delay_us":4}]}]}}',
      f'{{{OF},"id":"me-4","ok":true,"result":{{"events":[{{{OF},"seq":4,"type":"state",'
      '"path":"/a"}],"complete":true}}',
      f'{{{OF},"seq":7,"type":"command","path":"/a","id":"me-3","do":"stop","stage":"failed",'
      '"error":{"text":"no"}}',
      f'{{{OF},"seq":3,"program":"p","control":"ipc:///c","period_us":1000000}}',
      '{"metrics":[{"path":"/a","state":"up","restarts_total":3,"state_us":{"up":4},'
      '"restart_latency_us":{"count":1,"sum":2,"buckets":[[1,1]]},"mail":{"sent":1}}]}',
      '{"path":"/a","pipeline":{"stages":[{"name":"s","source":true,"components":["s"],"in":7,"done":5,'
      '"latency_us":{"count":3,"sum":9}},{"name":"t","components":["a","b"],"dead":1,"in":5}],'
      '"links":[{"from":"s","port":"p","to":"t","share":"by key","stalls":2,"in_flight":3}]}}'],
     [BUILD / "src/libresil.a", "-lczmq", "-lzmq", "-ljansson"])
