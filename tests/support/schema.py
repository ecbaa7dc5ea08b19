"""The schema of the monitor's messages, closed: a message has no field that it does not name.

SPDX-License-Identifier: Apache-2.0
"""

import functools
import json

from support import SOURCE, need_module

need_module("jsonschema", "python3-jsonschema")
import jsonschema  # noqa: E402


def close(schema):
    """The schema with no other fields than those it names."""
    if isinstance(schema, dict):
        schema = {key: close(value) for key, value in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [close(value) for value in schema]
    return schema


@functools.cache
def definitions():
    schema = json.loads((SOURCE / "docs/protocols/monitor.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return close(schema)["definitions"]


def validator(*path):
    part = "/".join(("#", "definitions") + path)
    return jsonschema.Draft7Validator({"$ref": part, "definitions": definitions()})


def best_error(which, message):
    """What is wrong with it, or None."""
    error = jsonschema.exceptions.best_match(which.iter_errors(message))
    return error and error.message
