"""The sources are formatted as .clang-format says (`make format` does it).

ctest timeout: 240

SPDX-License-Identifier: Apache-2.0
"""

import shutil

from support import SOURCE, fail, run, skip

if not shutil.which("clang-format"):
    skip("there is no clang-format")
wrong = [str(path.relative_to(SOURCE))
         for folder in ("include", "src", "examples", "tests")
         for path in sorted((SOURCE / folder).rglob("*.[ch]"))
         if run("clang-format", path) != path.read_text()]
if wrong:
    fail(f"`make format` would change {', '.join(wrong)}")
