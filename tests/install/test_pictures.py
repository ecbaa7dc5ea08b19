"""The pictures of the guide can be made anew, and have the same parts.

SPDX-License-Identifier: Apache-2.0
"""

import pathlib
import re
import shutil
import sys
import tempfile

from support import BUILD, LAUNCHER, SOURCE, fail, run, skip

if not shutil.which("tmux"):
    skip("there is no tmux")
if LAUNCHER:
    skip("the pictures are those of programs that run by themselves")


def titles(page):
    return re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)


with tempfile.TemporaryDirectory() as folder:
    fresh = pathlib.Path(folder) / "pictures.md"
    run(sys.executable, SOURCE / "docs/guide/pictures.py", BUILD, fresh)
    if titles(fresh) != titles(SOURCE / "docs/guide/pictures.md"):
        fail("docs/guide/pictures.py would make other pictures")
    for text in "/plant/storage", "├─ storage", "-- as a tree -- events --", "admin | ":
        if text not in fresh.read_text():
            fail(f"there is no {text!r} in\n{fresh.read_text()}")
