"""Pipelines whose stages fail at random, a thousand runs and more: system/test_pipeline_faults.c in each placement, with
seeds from SEED on (1), until MINUTES are over too.

ctest label: soak
ctest timeout: 7200

SPDX-License-Identifier: Apache-2.0
"""

import os
import subprocess
import time

from support import BUILD, fail

#  So many runs at once; a run in processes takes some hundred times as long as one in threads.
TURN = (("", 100), ("shared", 80), ("process", 20))
LEAST = 1000

seed = int(os.environ.get("SEED", "1"), 0)
ends_at = time.monotonic() + 60 * float(os.environ.get("MINUTES", "1"))
runs = dict.fromkeys((placement for placement, _ in TURN), 0)
began = time.monotonic()
while sum(runs.values()) < LEAST or time.monotonic() < ends_at:
    for placement, count in TURN:
        done = subprocess.run([BUILD / "tests/system/test_pipeline_faults"], capture_output=True, text=True,
                              errors="replace", timeout=3600,
                              env=os.environ | {"SEED": str(seed), "RUNS": str(count)}
                              | ({"TEST_PLACEMENT": placement} if placement else {}))
        if done.returncode:
            fail(f"TEST_PLACEMENT={placement} SEED={seed} RUNS={count}:\n{done.stdout}{done.stderr}")
        seed += count
        runs[placement] += count
print(", ".join(f"{count} runs in {placement or 'own'} threads" if placement != "process" else f"{count} in processes"
                for placement, count in runs.items()),
      f"in {time.monotonic() - began:.0f} s; nothing was lost")
