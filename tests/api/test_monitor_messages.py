"""Every message of the tests of the monitor is what the schema says, and has no field that it does not name.

ctest timeout: 300

SPDX-License-Identifier: Apache-2.0
"""

import copy
import json
import os
import subprocess
import tempfile

from support import BUILD, LAUNCHER, SOURCE, fail, skip

try:
    import jsonschema
except ImportError:
    skip("python3-jsonschema is not installed")

def close(schema):
    """The schema with no other fields than those it names."""
    if isinstance(schema, dict):
        schema = {key: close(value) for key, value in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [close(value) for value in schema]
    return schema


def validator(schema, *path):
    part = "/".join(("#", "definitions") + path)
    return jsonschema.Draft7Validator({"$ref": part, "definitions": schema["definitions"]})


schema = json.loads((SOURCE / "docs/protocols/monitor.schema.json").read_text())
jsonschema.Draft7Validator.check_schema(schema)
schema = close(copy.deepcopy(schema))
check = {name: validator(schema, name) for name in ("event", "beat", "sample", "reply", "request")}
results = {name: validator(schema, "results", name) for name in schema["definitions"]["results"]}

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
    error = jsonschema.exceptions.best_match(which.iter_errors(message))
    if error:
        fail(f"{kind}: {error.message}\nin {line}")


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
