#!/usr/bin/env python3
"""Write pictures.md anew: what the command prints and shows of examples, which run meanwhile.

Usage: pictures.py BUILD_DIR [FILE]    another file than pictures.md; it needs tmux

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
COMMAND = BUILD / "src/tools/resil"
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).with_suffix(".md"))

HEAD = """# Pictures

What the command `resil` prints and shows of the example [tree](../../examples/tree.c), whose injector has its parts fail in turn; and of
the example [primes](../../examples/primes.c), a pipeline.
This page is made by [pictures.py](pictures.py) from programs that run.
"""


def printed(environment, *words):
    done = subprocess.run([COMMAND, *words], env=environment, capture_output=True, text=True,
                          timeout=60, check=True)
    return done.stdout


def screen(environment, folder, columns, lines, *keys, wait=1):
    #  A server of its own: one that has been told to end takes its time to leave its socket.
    tmux = ["tmux", "-f", "/dev/null", "-S", os.path.join(tempfile.mkdtemp(dir=folder), "tmux")]

    def run(*words):
        return subprocess.run([*tmux, *words], env=environment | {"TERM": "xterm-256color"},
                              capture_output=True, text=True, timeout=60, check=True).stdout

    run("new-session", "-d", "-x", str(columns), "-y", str(lines), f"{COMMAND} top")
    try:
        time.sleep(2)
        for key in keys:
            run("send-keys", key)
            time.sleep(0.3)
        time.sleep(wait)
        return run("capture-pane", "-p")
    finally:
        run("kill-server")


def build(folder, name):
    """Here, so that the paths of its sources are those of the project."""
    program = pathlib.Path(folder) / name
    subprocess.run(["cc", "-D_GNU_SOURCE", "-Iinclude", f"examples/{name}.c", f"-L{BUILD / 'src'}",
                    f"-Wl,-rpath,{BUILD / 'src'}", "-lresil", "-lczmq", "-lzmq", "-o", program],
                   cwd=SOURCE, check=True)
    return program


@contextlib.contextmanager
def running(environment, folder, name, seconds):
    program = subprocess.Popen([build(folder, name)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=environment | {"RESIL_MONITOR": "1"})
    try:
        time.sleep(seconds)
        yield
    finally:
        program.terminate()
        program.wait(30)


def main(folder):
    environment = os.environ | {"XDG_RUNTIME_DIR": folder, "LC_ALL": "C.UTF-8"}
    with running(environment, folder, "tree", 8):
        sensor = "/plant/processing/acquisition/sensor 1"
        pictures = [
            ("resil status", printed(environment, "status")),
            ("resil tree", printed(environment, "tree")),
            (f"resil describe \"{sensor}\"", printed(environment, "describe", sensor)),
            ("resil events --since 2s", printed(environment, "events", "--since", "2s")),
            ("resil top, 80 by 24", screen(environment, folder, 80, 24)),
            ("resil top, 120 by 40, one of them selected and described",
             screen(environment, folder, 120, 40, "Down", "Down", "Enter")),
        ]
    with running(environment, folder, "primes", 3):
        pictures += [
            ("resil graph", printed(environment, "graph")),
            ("resil status, of a pipeline", printed(environment, "status")),
            ("resil top, 80 by 24, of a pipeline", screen(environment, folder, 80, 24)),
            ("resil top, 80 by 24, a pipeline described",
             screen(environment, folder, 80, 24, "Down", "Up", "Enter", wait=3)),
        ]
    page = HEAD + "".join(f"\n## {title}\n\n```text\n{text.rstrip()}\n```\n"
                          for title, text in pictures)
    PAGE.write_text(page.replace(f"@{socket.gethostname()} ", "@host "))


with tempfile.TemporaryDirectory(prefix="watched-") as temporary:
    main(temporary)
