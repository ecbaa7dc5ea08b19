"""docs/reference/ is what the headers say today, and they leave nothing public unsaid
(`make docs` writes it).

SPDX-License-Identifier: Apache-2.0
"""

import filecmp
import pathlib
import shutil
import sys
import tempfile

from support import SOURCE, fail, run, skip

if not shutil.which("doxygen"):
    skip("there is no doxygen")
with tempfile.TemporaryDirectory() as fresh:
    run(sys.executable, SOURCE / "docs/reference/generate.py", fresh)
    names = {path.name for folder in (SOURCE / "docs/reference", fresh)
             for path in pathlib.Path(folder).glob("*.md")}
    _, differ, missing = filecmp.cmpfiles(SOURCE / "docs/reference", fresh, sorted(names),
                                          shallow=False)
    if differ or missing:
        fail(f"`make docs` would change {sorted(differ + missing)}")
