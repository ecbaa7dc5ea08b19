"""Fuzzers: a file in tests/fuzz, built by clang with the sources that it is about, and run for MINUTES, from SEED. What
it finds is kept in its corpus for the next time, beside the build; a crash leaves its input there.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil
import subprocess

from support import BUILD, SOURCE, fail, skip

CLANG = shutil.which("clang")
MINUTES = float(os.environ.get("MINUTES", "1"))
SEED = int(os.environ.get("SEED", "1")) % 2**31 or 1


def run(command, timeout):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout)
    return done.returncode, done.stdout


def fuzz(name, sources, seeds, libraries=("-ljansson",)):
    """Build tests/fuzz/<name>.c with those sources, and run it with a corpus that begins with the seeds, texts or bytes."""
    if not CLANG:
        skip("clang is not installed")
    folder = BUILD / "tests" / "fuzz" / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(seed.encode() if isinstance(seed, str) else seed)
    program = folder / name
    status, said = run(
        [CLANG, "-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-fsanitize=fuzzer,address,undefined",
         f"-I{SOURCE}/include", f"-I{SOURCE}/src", SOURCE / f"tests/fuzz/{name}.c",
         *[SOURCE / source for source in sources], *libraries, "-o", program], 300)
    if "libclang_rt.fuzzer" in said:
        skip("this clang has no libFuzzer")
    if status != 0:
        fail(said)
    status, said = run(
        [program, "-print_final_stats=1", f"-max_total_time={int(MINUTES * 60)}", "-max_len=4096",
         f"-seed={SEED}", f"-artifact_prefix={folder}/", corpus], MINUTES * 60 + 600)
    print(said[-1500:])
    if status != 0:
        fail(f"status {status}")
