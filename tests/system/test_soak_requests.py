"""Requests and access lists that a fuzzer makes up: MINUTES long, from SEED. What it finds is kept in its corpus for the
next time, beside the build; a crash leaves its input there.

ctest label: soak
ctest timeout: 7200

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil
import subprocess

from support import BUILD, SOURCE, fail, skip

CLANG = shutil.which("clang")
MINUTES = float(os.environ.get("MINUTES", "1"))
FOLDER = BUILD / "tests" / "fuzz"
SOURCES = ["tests/fuzz/fuzz_request.c", "src/monitor/request.c", "src/monitor/access.c",
           "src/protocol/keys.c", "src/foundation/errmsg.c", "src/foundation/text.c",
           "src/foundation/lock.c"]
REQUESTS = [
    '{"v":1,"id":"a","do":"hello"}',
    '{"v":1,"id":"a","do":"events","from":1,"limit":5}',
    '{"v":1,"id":"a","do":"call","path":"/app/a","text":"\\u00e4","tag":1,"timeout_us":5}',
    '{"v":1,"id":"a","do":"add","supervisor":"/app","type":"t","name":"n","restart":"permanent"}',
    '{"v":1,"id":"a","do":"set","path":"/app","max_restarts":-1,"window_us":5000000,"if_idle":true}',
    "a" * 40 + " viewer eve # who\n",
]

if not CLANG:
    skip("clang is not installed")
corpus = FOLDER / "corpus"
corpus.mkdir(parents=True, exist_ok=True)
for number, request in enumerate(REQUESTS):
    (corpus / f"seed{number}").write_text(request)
program = FOLDER / "fuzz_request"
built = subprocess.run(
    [CLANG, "-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-fsanitize=fuzzer,address,undefined",
     f"-I{SOURCE}/include", f"-I{SOURCE}/src", *[SOURCE / name for name in SOURCES],
     SOURCE / "tests/fuzz/without_process.c", "-ljansson", "-o", program],
    text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
if "libclang_rt.fuzzer" in built.stdout:
    skip("this clang has no libFuzzer")
if built.returncode != 0:
    fail(built.stdout)
done = subprocess.run(
    [program, "-print_final_stats=1", f"-max_total_time={int(MINUTES * 60)}", "-max_len=4096",
     f"-seed={int(os.environ.get('SEED', '1')) % 2**31 or 1}", f"-artifact_prefix={FOLDER}/", corpus],
    text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=MINUTES * 60 + 600)
print(done.stdout[-1500:])
if done.returncode != 0:
    fail(f"status {done.returncode}")
