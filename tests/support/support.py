"""What the tests in Python share: where things are, and running programs with a deadline.

SPDX-License-Identifier: Apache-2.0
"""

import importlib.util
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


def need_module(name, package):
    """See to it that a module is there, which may be the system's while this interpreter is not: then the test is
    begun anew by that one. Without it the test cannot run."""
    system = "/usr/bin/python3"
    look = [system, "-c", f"import {name}"]
    if importlib.util.find_spec(name):
        return
    if (sys.executable == system or not os.path.exists(system) or
            subprocess.run(look, stderr=subprocess.DEVNULL, check=False).returncode):
        skip(f"there is no {name} (on Debian: apt-get install {package})")
    os.execv(system, [system, *sys.argv])
