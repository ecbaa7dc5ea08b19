"""What README.md and docs/guide/ show is true: their programs compile by the lines that they show,
against the installed library, and print what they show.

How a fenced block is marked, in the words behind its language:

    ```c file=hello.c       written to that file; where examples/ has a file of that name, the two
                            must be the same but for the first comment
    ```sh run               run as it stands, in the folder of the document's files; the library is
                            installed where pkg-config, CMake and the loader find it
    ```text output          the standard output of the last run; in it "..." stands for
                            anything within a line, and for any lines where it is a line

Blocks without these words are only read: a `make` target that they name must be in the Makefile.

ctest timeout: 180
SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import pathlib
import re
import signal
import tempfile

from support import BUILD, SOURCE, fail, run

BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def without_first_comment(text):
    return re.sub(r"^/\*.*?\*/\n", "", text, count=1, flags=re.DOTALL).strip()


def matches(shown, printed):
    #  What spins has not the core to itself on a busy machine, and is told so.
    printed = re.sub(r"ready to run, but got (\d+ % of a core)", r"spinning: \1", printed)
    shown, more = re.subn(r"\n\.\.\.\n*$", "", shown.rstrip("\n"))  # and perhaps more
    pattern = re.escape(shown).replace(r"\.\.\.", "...")
    pattern = re.sub(r"^\.\.\.\\?\n", r"(?:.*\\n)*?", pattern, flags=re.MULTILINE)
    pattern = re.sub(r"^\.\.\.$", r"(?:.*\\n?)*", pattern, flags=re.MULTILINE)
    pattern = pattern.replace("...", ".*") + (r"(?:\n.*)*" if more else "")
    return re.fullmatch(pattern, printed.rstrip("\n"))


def check(document, folder):
    """All blocks of a document, in order."""
    printed = None
    for language, words, text in BLOCK.findall(document.read_text()):
        words = words.split()
        named = [word.removeprefix("file=") for word in words if word.startswith("file=")]
        for name in named:
            example = SOURCE / "examples" / name
            if (example.exists() and
                    without_first_comment(example.read_text()) != without_first_comment(text)):
                fail(f"{document.name} and examples/{name} differ")
            (folder / name).write_text(text)
        if "run" in words:
            printed = run("sh", "-euc", text, cwd=folder)
        if "output" in words and (printed is None or not matches(text, printed)):
            fail(f"{document.name} shows\n{text}\nbut this was printed:\n{printed}")
        if language == "sh":
            for target in re.findall(r"\bmake ([a-z]+)\b", text):
                if not re.search(rf"^{target}:", (SOURCE / "Makefile").read_text(), re.MULTILINE):
                    fail(f"{document.name} names `make {target}`, which there is not")


def main(folder):
    prefix = folder / "prefix"
    run("cmake", "--install", BUILD, "--prefix", prefix)
    library = next(prefix.rglob("libresil.so")).parent
    os.environ["LD_LIBRARY_PATH"] = str(library)
    os.environ["PKG_CONFIG_PATH"] = str(library / "pkgconfig")
    os.environ["CMAKE_PREFIX_PATH"] = str(prefix)
    os.environ["PATH"] = f"{prefix / 'bin'}:{os.environ['PATH']}"
    for document in [SOURCE / "README.md", *sorted((SOURCE / "docs/guide").glob("*.md"))]:
        place = folder / document.relative_to(SOURCE).with_suffix("")
        place.mkdir(parents=True)
        (place / "examples").symlink_to(SOURCE / "examples")
        check(document, place)


def kill_all_in(folder):
    """What a document that went wrong has left running."""
    for link in pathlib.Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(folder):
                os.kill(int(link.parent.name), signal.SIGKILL)


#  Programs that are watched are found by those of the same document run, and by nobody else.
with (tempfile.TemporaryDirectory() as temporary,
      tempfile.TemporaryDirectory(prefix="watched-") as runtime):
    os.environ["XDG_RUNTIME_DIR"] = runtime
    try:
        main(pathlib.Path(temporary))
    finally:
        kill_all_in(temporary)
