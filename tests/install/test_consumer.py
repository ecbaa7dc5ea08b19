"""Programs outside the tree find the installed library, shared and static, by pkg-config and by
CMake, build without a warning, link to what they should, and run.

ctest timeout: 180
SPDX-License-Identifier: Apache-2.0
"""

import os
import pathlib
import re
import shutil
import tempfile

from support import BUILD, SOURCE, fail, run

PROJECT = """
cmake_minimum_required (VERSION 3.25)
project (consumer LANGUAGES C)
find_package (resil VERSION REQUIRED)
add_executable (shared consumer.c)
target_link_libraries (shared resil::resil)
add_executable (static consumer.c)
target_link_libraries (static resil::static)
"""

COMPILE = "cc -std=c11 -Wall -Wextra -Wpedantic -Werror consumer.c -o"


def check(program, shared):
    """It runs, and it needs the shared library just if it should."""
    output = run(program)
    if output != "came back\n":
        fail(f"{program} printed {output!r}")
    if ("libresil" in run("readelf", "-d", program)) != shared:
        fail(f"{program} is {'not ' if shared else ''}linked to the shared library")


def main(folder):
    prefix = folder / "prefix"
    run("cmake", "--install", BUILD, "--prefix", prefix)
    library = next(prefix.rglob("libresil.so")).parent
    os.environ["LD_LIBRARY_PATH"] = str(library)
    os.environ["PKG_CONFIG_PATH"] = str(library / "pkgconfig")
    version = re.findall(r"#define RESIL_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)",
                         (SOURCE / "include/resil/version.h").read_text())
    version = ".".join(version)

    for path in prefix.rglob("*"):
        if path.suffix in (".h", ".pc", ".cmake") and str(SOURCE) in path.read_text():
            fail(f"{path.name} names the source tree")

    work = folder / "work"
    work.mkdir()
    shutil.copy(SOURCE / "tests/install/consumer.c", work)
    (work / "CMakeLists.txt").write_text(PROJECT.replace("VERSION REQUIRED", f"{version} REQUIRED"))

    def shell(line):
        return run("sh", "-euc", line, cwd=work)

    # The tests themselves are told where it is; who installs it need not be.
    os.environ.pop("RESIL_SHIM", None)
    shutil.copy(SOURCE / "tests/install/process.c", work)
    shell("cc -Wall -Werror process.c -o process $(pkg-config --cflags --libs resil)")
    if run(work / "process") != "completed\n":
        fail("the installed library does not start a process")

    if shell("pkg-config --modversion resil").strip() != version:
        fail("resil.pc and version.h differ")
    shell(f"{COMPILE} by_pkg_config $(pkg-config --cflags --libs resil)")
    check(work / "by_pkg_config", shared=True)
    shell(f"{COMPILE} static_by_pkg_config $(pkg-config --cflags resil) "
          "$(pkg-config --static --libs resil | sed 's/-lresil/-l:libresil.a/')")
    check(work / "static_by_pkg_config", shared=False)

    shell(f"cmake -S . -B build -D CMAKE_PREFIX_PATH={prefix} && cmake --build build")
    check(work / "build/shared", shared=True)
    check(work / "build/static", shared=False)


with tempfile.TemporaryDirectory() as temporary:
    main(pathlib.Path(temporary))
