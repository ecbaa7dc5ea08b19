"""Programs that are watched, and the command that watches them, for tests in Python.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

from support import BUILD, LAUNCHER, PATIENCE

COMMAND = [*LAUNCHER, BUILD / "src" / "tools" / "resil"]
REMOTE = [*LAUNCHER, BUILD / "examples" / "remote"]


@contextlib.contextmanager
def home():
    """An environment in which no programs but those of the test are found."""
    folder = tempfile.mkdtemp(prefix="watched-")
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("RESIL_") or key == "RESIL_SHIM"}
    environment |= {"XDG_RUNTIME_DIR": folder, "RESIL_LOG": "silent"}
    try:
        yield environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(environment, *arguments, **more):
    """The example `remote`, once it can be watched. Returns its process and its endpoint."""
    process = subprocess.Popen([*REMOTE, *arguments], env=environment | more, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = process.stdout.readline()
    if not line.startswith("watched at "):
        raise AssertionError(line + process.stderr.read())
    return process, line.removeprefix("watched at ").strip()


def end(process, kill=False):
    process.kill() if kill else process.terminate()
    process.communicate(timeout=PATIENCE)


@contextlib.contextmanager
def remote(environment, *arguments, **more):
    process, endpoint = start(environment, *arguments, **more)
    try:
        yield process, endpoint
    finally:
        end(process)


@contextlib.contextmanager
def tree(environment, **more):
    """The example `tree`, whose monitor its environment asks for, and its endpoint, which its log has."""
    process = subprocess.Popen([*LAUNCHER, BUILD / "examples" / "tree"], text=True,
                               env=environment | {"RESIL_LOG": "warn"} | more,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    endpoint = next((found.group(1) for line in process.stderr
                     if (found := re.search(r"watched at (\S+?):? ", line))), None)
    reader = threading.Thread(target=process.stderr.read)
    reader.start()
    try:
        yield process, endpoint
    finally:
        process.terminate()
        process.wait(PATIENCE)
        reader.join()
        process.stderr.close()


@contextlib.contextmanager
def primes(environment, **more):
    """The example `primes`, a pipeline, once all of it runs."""
    process = subprocess.Popen([*LAUNCHER, BUILD / "examples" / "primes"],
                               env=environment | {"RESIL_MONITOR": "1"} | more,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        code, out, err = resil(environment, "wait", "/primes", "--for", "up", "--timeout", "60s")
        if code:
            raise AssertionError(out + err)
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def resil(environment, *words, **more):
    """Run the command. Returns its status, what it printed, and what it said on standard error."""
    done = subprocess.run([*COMMAND, *map(str, words)], env=environment | more, capture_output=True,
                          text=True, timeout=4 * PATIENCE)
    return done.returncode, done.stdout, done.stderr


class Lines(list):
    """What a stream says, as it comes."""

    def __init__(self, stream):
        super().__init__()
        self.came = threading.Condition()
        self.stream = stream
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.stream:
            with self.came:
                self.append(line)
                self.came.notify_all()

    def wait_for(self, condition, what):
        """Until it holds of what has been said."""
        with self.came:
            if not self.came.wait_for(condition, PATIENCE):
                raise AssertionError(f"{what} did not come about")

    def close(self):
        """All of it has been said."""
        self.reader.join()
        self.stream.close()


def wait_for(condition, what):
    """Until it holds; its value. For what tells nobody that it changes: a screen, a file, a figure."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come about")
        time.sleep(0.02)
    return value
