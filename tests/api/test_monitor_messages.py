"""Every message of the tests of the monitor is what the schema says, and has no field that it does not name.

ctest timeout: 300

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import subprocess
import tempfile

from schema import best_error, definitions, validator
from support import BUILD, LAUNCHER, fail

check = {name: validator(name) for name in ("event", "beat", "sample", "reply", "request")}
results = {name: validator("results", name) for name in definitions()["results"]}

with tempfile.NamedTemporaryFile() as file:
    for program in ("test_monitor", "test_monitor_keys", "test_pipeline_seen"):
        done = subprocess.run([*LAUNCHER, BUILD / "tests/api" / program], timeout=250,
                              env={**os.environ, "RESIL_MESSAGES": file.name}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            fail(f"{program}: {done.stdout}")
    lines = open(file.name, encoding="utf-8").read().splitlines()

seen = {}


def is_valid(kind, which, message, line):
    seen[kind] = seen.get(kind, 0) + 1
    if error := best_error(which, message):
        fail(f"{kind}: {error}\nin {line}")


for line in lines:
    what, text = line.split("\t", 1)
    if len(text.encode()) > 64 * 1024 and not what.startswith("reply"):
        fail(f"longer than a message may be: {line[:200]}")
    if what == "request":
        is_valid("request", check["request"], json.loads(text), line)
        continue
    message = json.loads(text)
    kind = "reply" if what.startswith("reply") else what.split("/")[1]
    is_valid(kind, check[kind], message, line)
    if kind == "event" and what != f"resil1/event{message['path']}/":
        fail(f"its topic is {what}: {line}")
    asked = what.partition(":")[2]
    if asked and message["ok"]:
        is_valid(f"reply to {asked}", results[asked], message["result"], line)

for name in ["event", "beat", "sample", "reply", "request"] + [f"reply to {name}" for name in results]:
    if name not in seen:
        fail(f"there was no {name}; seen were {seen}")
print(seen)
