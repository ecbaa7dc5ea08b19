"""Each source file names the licence in its first comment.

SPDX-License-Identifier: Apache-2.0
"""

from support import SOURCE, fail

SUFFIXES = {".c", ".h", ".py", ".sh", ".map", ".in", ".supp"}
NAMES = {"CMakeLists.txt", "Makefile", "run"}

without = [str(path.relative_to(SOURCE))
           for folder in (".ci", "include", "src", "examples", "tests", "docs", "CMakeLists.txt",
                          "Makefile")
           for path in [SOURCE / folder, *sorted((SOURCE / folder).rglob("*"))]
           if path.is_file() and (path.suffix in SUFFIXES or path.name in NAMES)
           and "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:4000]]
if without:
    fail(f"without an SPDX line: {without}")
