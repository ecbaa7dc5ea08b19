"""A folder of src/ includes only from folders listed before it; headers of the project are
included by their full name, so that this can be seen.

SPDX-License-Identifier: Apache-2.0
"""

import re

from support import SOURCE, fail

LAYERS = ["foundation", "protocol", "shim", "mailbox", "component", "process", "runner", "hosted",
          "supervisor", "messaging", "systemd", "guardian", "link", "stages", "pipeline",
          "watcher", "monitor", "tools"]

wrong = []
for path in sorted((SOURCE / "src").rglob("*.[ch]")):
    layer = path.relative_to(SOURCE / "src").parts[0]
    if layer not in LAYERS:
        wrong.append(f"{path}: {layer} is no layer")
        continue
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE):
        below = name.split("/")[0]
        if not (SOURCE / "src" / name).exists():
            wrong.append(f'{path}: "{name}" is not the full name of a header')
        elif layer == "tools" and below != "tools":
            wrong.append(f"{path}: the command uses the public headers only")
        elif below not in LAYERS[:LAYERS.index(layer) + 1]:
            wrong.append(f"{path}: {layer} must not include from {below}")
for path in sorted((SOURCE / "include").rglob("*.h")):
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE):
        wrong.append(f'{path}: a public header includes "{name}"')
if wrong:
    fail("\n" + "\n".join(wrong))
