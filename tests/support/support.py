"""What the tests in Python share: where things are, and running programs with a deadline.

SPDX-License-Identifier: Apache-2.0
"""

import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["RESIL_SOURCE"])
BUILD = pathlib.Path(os.environ["RESIL_BUILD"])

# Put it before a program of ours: valgrind and its options, when the tests run under it.
LAUNCHER = os.environ.get("RESIL_LAUNCHER", "").split()

# The deadline of a wait for something that should happen soon, in seconds.
PATIENCE = 30


def run(*command, **options):
    """Run a command to its end. Returns its standard output; ends the test if it fails."""
    options = {"timeout": 300, "text": True, "stdout": subprocess.PIPE, **options}
    done = subprocess.run([str(word) for word in command], **options)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout or ''}")
    return done.stdout


def fail(reason):
    """End the test: it has failed."""
    sys.exit(f"failed: {reason}")


def skip(reason):
    """End the test: it cannot run here."""
    print(f"skipped: {reason}")
    sys.exit(77)
