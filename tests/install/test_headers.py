"""Each installed header compiles by itself, as strict C and as C++.

SPDX-License-Identifier: Apache-2.0
"""

from support import SOURCE, run

for header in ["resil.h", *sorted(f"resil/{path.name}"
                                  for path in (SOURCE / "include/resil").glob("*.h"))]:
    program = f"#include <{header}>\nint main (void) {{ return 0; }}\n"
    for compiler in ("gcc -x c -std=c11", "clang -x c -std=c11", "clang -x c++ -std=c++11"):
        run(*compiler.split(), "-I", SOURCE / "include", "-Wall", "-Wextra", "-Wpedantic",
            "-Werror", "-fsyntax-only", "-", input=program)
