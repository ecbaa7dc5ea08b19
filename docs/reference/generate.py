#!/usr/bin/env python3
"""Write docs/reference/ from the comments of the public headers: a page for each, and an index.

Doxygen reads the C, so that what belongs to what is not guessed here; this script turns the
headers' plain comments into what Doxygen calls documentation, and Doxygen's XML into Markdown:

    /*  About what follows. */                before a declaration; one comment serves all of
                                              a kind that follow it without an empty line
    int field;      /*  about the field */    behind a field or a constant
    /*  About the header.                     the first comment; its SPDX line is left out

Lines of a comment that are set out in columns (three spaces or more) are kept as they are.
Everything public must be documented: what is not is named, and the status is 1.

Pages that are written by hand stand beside those (WRITTEN); the index names them, and a folder that is
written elsewhere gets a copy.

Usage: generate.py [FOLDER]    the folder to write to; this one unless said

SPDX-License-Identifier: Apache-2.0
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "include"

DOXYFILE = """
    PROJECT_NAME = resil
    INPUT = include
    RECURSIVE = YES
    GENERATE_HTML = NO
    GENERATE_LATEX = NO
    GENERATE_XML = YES
    XML_PROGRAMLISTING = NO
    EXTRACT_ALL = YES
    OPTIMIZE_OUTPUT_FOR_C = YES
    TYPEDEF_HIDES_STRUCT = YES
    SORT_MEMBER_DOCS = NO
    AUTOLINK_SUPPORT = NO
    MACRO_EXPANSION = YES
    EXPAND_ONLY_PREDEF = YES
    PREDEFINED = RESIL_EXPORT= RESIL_NORETURN= "RESIL_PRINTF(format,first)="
    QUIET = YES
    WARN_IF_UNDOCUMENTED = NO
"""

# What the headers need for themselves: not part of the interface.
PRIVATE_MACROS = {"RESIL_EXPORT", "RESIL_NORETURN", "RESIL_PRINTF"}

# The pages that no header has, and what the index says of them.
WRITTEN = {"otp": "[What is as in OTP](otp.md): its supervision beside this one, line by line, and why."}


def as_doxygen(text):
    """A header with its comments marked as documentation, and each line where it was."""
    about = re.match(r"/\*(.*?)\*/", text, re.DOTALL).group(1)
    about = re.sub(r"\s*SPDX-License-Identifier.*", "", about)

    def mark(match):
        line_start = text.rfind("\n", 0, match.start()) + 1
        before, comment = text[line_start:match.start()], match.group(1)
        if match.start() == 0:
            return "\n" * comment.count("\n")
        return f"/**{'<' if before.strip() else ''}{keep_columns(comment)} */"

    marked = re.sub(r"/\*(  .*?) *\*/", mark, text, flags=re.DOTALL)
    return f"{marked}/** @file\n{keep_columns(about)} */\n"


def keep_columns(comment):
    """A comment with the lines that are set out in columns, and those between them, verbatim."""
    lines = comment.split("\n")
    set_out = [at for at, line in enumerate(lines) if re.search(r"\S {3,}\S", line)]
    if not set_out or set_out[0] == 0:
        return comment
    first, last = set_out[0], set_out[-1]
    indent = re.match(" *", lines[first]).group()
    while last + 1 < len(lines) and lines[last + 1].startswith(indent + " "):
        last += 1
    lines[first - 1] += " @verbatim"
    lines[last] += "@endverbatim"
    return "\n".join(lines)


def inline(node):
    """The text of a node as Markdown."""
    text = node.text or ""
    for child in node:
        if child.tag == "computeroutput":
            text += f"`{''.join(child.itertext())}`"
        elif child.tag == "verbatim":
            text += f"\n\n```text\n{dedent(child.text)}\n```\n\n"
        elif child.tag == "ndash":
            text += "--"
        else:
            text += inline(child)
        text += child.tail or ""
    return text


def dedent(text):
    lines = text.strip("\n").rstrip().split("\n")
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:].rstrip() for line in lines)


def described(node):
    """What the comment of a member or compound says, as paragraphs of Markdown."""
    paragraphs = [inline(paragraph) for part in ("briefdescription", "detaileddescription")
                  for paragraph in node.findall(f"{part}/para")]
    text = "\n\n".join(tidy(paragraph) for paragraph in paragraphs)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def tidy(text):
    """Lines joined, code left as it is."""
    parts = re.split(r"(```text\n.*?\n```)", text, flags=re.DOTALL)
    return "".join(f"\n\n{part}\n\n" if part.startswith("```") else " ".join(part.split())
                   for part in parts).strip()


class Page:
    """What a header declares, in its order."""

    def __init__(self, name, compound, structs):
        self.name = name
        self.source = (INCLUDE / "resil" / f"{name}.h").read_text().split("\n")
        self.about = described(compound)
        members = compound.findall("sectiondef/memberdef")
        structs = [struct for struct in structs
                   if struct.find("location").get("file").endswith(f"/{name}.h")]
        self.items = sorted((self.item(node) for node in members + structs if self.is_public(node)),
                            key=lambda item: item["line"])
        self.join()

    def is_public(self, node):
        name = name_of(node)
        return not (node.get("kind") == "define" and
                    (name.endswith("_H") or name in PRIVATE_MACROS))

    def item(self, node):
        line = int(node.find("location").get("line"))
        kind = node.get("kind")
        if self.source[line - 1].startswith(" "):  # the type of a function stands above its name
            line -= 1
        end = self.end_of(line)
        parts = {"struct": "sectiondef/memberdef", "enum": "enumvalue"}.get(kind)
        return {
            "names": [name_of(node)],
            "kind": kind,
            "line": line,
            "end": end,
            "text": described(node),
            "declarations": [] if parts else [self.declaration(kind, line, end)],
            "parts": [(name_of(part), part_type(part), described(part))
                      for part in (node.findall(parts) if parts else [])],
        }

    def end_of(self, line):
        """The last line of a declaration."""
        define = self.source[line - 1].startswith("#define")
        while (self.source[line - 1].endswith("\\") if define
               else ";" not in self.source[line - 1]):
            line += 1
        return line

    def join(self):
        """One comment may serve those of a kind that follow it line upon line."""
        joined = []
        for item in self.items:
            above = joined[-1] if joined else None
            if (above and item["kind"] == above["kind"] and not item["text"] and
                    not item["parts"] and item["line"] == above["end"] + 1):
                above["names"] += item["names"]
                above["declarations"] += item["declarations"]
                above["end"] = item["end"]
            else:
                joined.append(item)
        self.items = joined

    def undocumented(self):
        if not self.about:
            yield f"{self.name}.h"
        for item in self.items:
            if not item["text"]:
                yield from (f"{self.name}.h: {name}" for name in item["names"])
            for name, _, text in item["parts"]:
                if not text:
                    yield f"{self.name}.h: {item['names'][0]}.{name}"

    def declaration(self, kind, first, last):
        """The declaration as the header has it, without what only a compiler needs."""
        text = "\n".join(line.rstrip("\\") for line in self.source[first - 1:last])
        text = re.sub(r"/\*.*?\*/|RESIL_EXPORT|RESIL_NORETURN|RESIL_PRINTF \([^)]*\)", "", text,
                      flags=re.DOTALL)
        text = re.sub(r"\s+", " ", text).strip().replace(" ;", ";")
        text = re.sub(r"\* (\w+ \()", r"*\1", text)
        if kind == "define":  # what a macro with arguments calls is the header's business
            return re.sub(r"^#define (\w+)(\(.*?\)) .*", r"\1 \2", text)
        return text

    def markdown(self, places):
        out = [f"# resil/{self.name}.h", "", link(self.about, places, self.name), ""]
        for item in self.items:
            out += [f"## {', '.join(item['names'])}", ""]
            if item["declarations"]:
                out += ["```c", *(wrap(text) for text in item["declarations"]), "```", ""]
            out += [link(item["text"], places, self.name, item["names"]), ""]
            if item["kind"] == "struct":
                out += ["| field | type | |", "| --- | --- | --- |"]
                out += [f"| `{name}` | `{cell(kind)}` | {cell(link(text, places, self.name))} |"
                        for name, kind, text in item["parts"]]
                out += [""]
            elif item["kind"] == "enum":
                out += ["| constant | value | |", "| --- | --- | --- |"]
                out += [f"| `{name}` | {value} | {cell(link(text, places, self.name))} |"
                        for (name, _, text), value in zip(item["parts"], values(item["parts"]))]
                out += [""]
        return "\n".join(out).rstrip() + "\n"


def wrap(text, width=90):
    """A declaration in lines, broken between arguments, which begin below one another."""
    if len(text) <= width:
        return text
    lines = [""]
    if text.startswith("#define "):
        _, name, text = text.split(" ", 2)
        lines = [f"#define {name}", "    "]
        margin, end = "    ", " \\\n"
    else:
        margin, end = " " * (text.index(" (") + 2), "\n"
    for piece in re.split(r"(?<=,) ", text):
        if lines[-1].strip() and len(lines[-1]) + 1 + len(piece) > width:
            lines.append(margin + piece)
        else:
            lines[-1] += f" {piece}" if lines[-1].strip() else piece
    return end.join(lines)


def name_of(node):
    return node.findtext("name") or node.findtext("compoundname")


def part_type(part):
    """The type of a field; the value of an enumeration's constant, where it is given."""
    if part.tag == "enumvalue":
        return (part.findtext("initializer") or "").lstrip("= ")
    text = "".join(part.find("type").itertext()) + (part.findtext("argsstring") or "")
    return text.replace("(*)(", " (*) (").replace("* (*)", "*(*)")


def values(parts):
    """The value of each constant of an enumeration."""
    value = -1
    for _, given, _ in parts:
        value = int(given, 0) if given else value + 1
        yield value


def cell(text):
    return " ".join(text.replace("|", "\\|").split())


def link(text, places, page, own=()):
    """Names of the interface become links to where they are described."""

    def one(match):
        name = match.group()
        if name not in places:
            return escape(name)
        if name in own:
            return f"`{name}`"
        target, anchor = places[name]
        return f"[`{name}`]({'' if target == page else target + '.md'}#{anchor})"

    parts = re.split(r"(```.*?```|`[^`]*`)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("`") else
                   re.sub(r"\w+|\W+", one, part) for part in parts)


def escape(text):
    return re.sub(r"([*<])", r"\\\1", text)


def anchor_of(names):
    """The anchor that git web pages give to the heading of these names."""
    return ", ".join(names).lower().replace(",", "").replace(" ", "-")


def read_headers():
    """The pages, in the order in which resil.h includes the headers."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "include" / "resil").mkdir(parents=True)
        for header in (INCLUDE / "resil").glob("*.h"):
            text = as_doxygen(header.read_text())
            (folder / "include" / "resil" / header.name).write_text(text)
        subprocess.run(["doxygen", "-"], input=DOXYFILE, text=True, cwd=folder, check=True)
        index = ElementTree.parse(folder / "xml" / "index.xml")
        compounds = [ElementTree.parse(folder / "xml" / f"{entry.get('refid')}.xml")
                     .find("compounddef") for entry in index.findall("compound")]
    structs = [node for node in compounds if node.get("kind") == "struct"]
    files = {name_of(node).removesuffix(".h"): node
             for node in compounds if node.get("kind") == "file"}
    order = re.findall(r"#include <resil/(\w+)\.h>", (INCLUDE / "resil.h").read_text())
    return [Page(name, files[name], structs)
            for name in [*order, *sorted(set(files) - set(order))]]


def index_page(pages, places):
    out = ["# Reference", "",
           "A page for each header; `#include <resil.h>` has them all. These pages are made from",
           "the comments of the headers by `make docs`.", "",
           "Written by hand:", "", *(f"- {about}" for about in WRITTEN.values()), ""]
    for page in pages:
        out += [f"## [{page.name}]({page.name}.md)", "", link(page.about, places, "README"), "",
                "| | |", "| --- | --- |"]
        for item in page.items:
            names = ", ".join(link(name, places, "README") for name in item["names"])
            out += [f"| {names} | {cell(link(first_sentence(item['text']), places, 'README'))} |"]
        out += [""]
    return "\n".join(out).rstrip() + "\n"


def first_sentence(text):
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    pages = read_headers()
    places = {}
    for page in pages:
        for item in page.items:
            anchor = anchor_of(item["names"])
            for name in item["names"] + ([part[0] for part in item["parts"]]
                                         if item["kind"] == "enum" else []):
                places[name] = (page.name, anchor)
    for old in folder.glob("*.md"):
        if old.stem not in WRITTEN:
            old.unlink()
    for name in WRITTEN:
        if not (folder / f"{name}.md").exists():
            shutil.copy(HERE / f"{name}.md", folder)
    for page in pages:
        (folder / f"{page.name}.md").write_text(page.markdown(places))
    (folder / "README.md").write_text(index_page(pages, places))
    missing = [name for page in pages for name in page.undocumented()]
    for name in missing:
        print(f"undocumented: {name}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
