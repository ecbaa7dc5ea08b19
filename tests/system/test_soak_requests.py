"""Requests and access lists that a fuzzer makes up (tests/support/fuzzer.py).

ctest label: soak
ctest timeout: 7200

SPDX-License-Identifier: Apache-2.0
"""

from fuzzer import fuzz

fuzz("fuzz_request",
     ["src/monitor/request.c", "src/monitor/access.c", "src/protocol/keys.c",
      "src/foundation/errmsg.c", "src/foundation/text.c", "src/foundation/lock.c",
      "tests/fuzz/without_process.c"],
     ['{"v":1,"id":"a","do":"hello"}',
      '{"v":1,"id":"a","do":"events","from":1,"limit":5}',
      '{"v":1,"id":"a","do":"call","path":"/app/a","text":"\\u00e4","tag":1,"timeout_us":5}',
      '{"v":1,"id":"a","do":"add","supervisor":"/app","type":"t","name":"n","restart":"permanent"}',
      '{"v":1,"id":"a","do":"set","path":"/app","max_restarts":-1,"window_us":5000000,"if_idle":true}',
      "a" * 40 + " viewer eve # who\n"])
