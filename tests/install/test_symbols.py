"""The library exports what the headers declare, neither less nor more, under its version; and
the static library defines no name that could be a program's own.

SPDX-License-Identifier: Apache-2.0
"""

import re

from support import BUILD, SOURCE, fail, run

text = "".join(path.read_text() for path in (SOURCE / "include/resil").glob("*.h"))
text = re.sub(r"/\*.*?\*/|^ *#.*?[^\\]$", "", text, flags=re.DOTALL | re.MULTILINE)
declared = set(re.findall(r"RESIL_EXPORT[^;(]*?(\w+) \(", text))

exported = {}
for line in run("nm", "-D", "--defined-only", BUILD / "src/libresil.so").splitlines():
    _, kind, name = line.split()
    if kind != "A":  # the version nodes themselves
        name, _, node = name.partition("@@")
        exported[name] = node

if declared != set(exported):
    fail(f"only declared: {sorted(declared - set(exported))}, "
         f"only exported: {sorted(set(exported) - declared)}")
unversioned = [name for name, node in exported.items() if not re.fullmatch(r"RESIL_\d+\.\d+", node)]
if unversioned:
    fail(f"without a version: {unversioned}")
if not re.search(r"SONAME.*\[libresil\.so\.\d+\]", run("readelf", "-d", BUILD / "src/libresil.so")):
    fail("no SONAME")

strangers = [line.split()[-1]
             for line in run("nm", "-g", "--defined-only", BUILD / "src/libresil.a").splitlines()
             if len(line.split()) == 3 and not line.split()[-1].startswith("resil_")]
if strangers:
    fail(f"names in the static library: {strangers}")
