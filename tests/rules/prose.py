"""Reads the project's pages: which commands they show, and in which list they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from source import ROOT, files, shown

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PROGRAMS = ("workbench", "make")


def pages() -> list[Path]:
    """Return all Markdown pages but the change log, which speaks of the past."""
    return [path for path in files(suffix=".md") if path.name != "CHANGELOG.md"]


def documented_commands() -> Iterator[tuple[str, list[str]]]:
    """Yield (place, words) of every command of ours in console blocks and in inline code."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            commands = typed(block[2]) if block[1] == "console" else plain_lines(block[2])
            for command in commands if block[1] != "python" else ():
                yield from ((shown(path), words) for words in ours(command))
        for command in plain_lines(BLOCK.sub("", text), indent="    "):
            yield from ((shown(path), words) for words in ours(command))
        for span in SPAN.finditer(BLOCK.sub("", text)):
            if span[1].startswith(tuple(f"{name} " for name in PROGRAMS)):
                yield from ((shown(path), words) for words in ours(span[1]))


def typed(block: str) -> Iterator[str]:
    """Yield what a person types in a console block: lines after `$ `, continued ones joined."""
    joined = block.replace("\\\n", " ")
    for line in joined.splitlines():
        if line.startswith("$ "):
            yield line[2:].strip()


def plain_lines(text: str, indent: str = "") -> Iterator[str]:
    """Yield the lines of a plain or indented code block that call one of our programs."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith(tuple(f"{indent}{name} " for name in PROGRAMS)):
            yield line.strip()


def ours(command: str) -> Iterator[list[str]]:
    """Yield the words of each of our programs in a command line: its parts are split at pipes and the like."""
    for piece in re.split(r"\s*(?:\|\||&&|\||;|&)\s+", command):
        words = plain_words(piece)
        while words and (re.fullmatch(r"\w+=\S*", words[0]) or words[0] == "env"):
            words = words[1:]
        if words and words[0].rsplit("/", 1)[-1] in PROGRAMS:
            yield [words[0].rsplit("/", 1)[-1], *words[1:]]


def plain_words(piece: str) -> list[str]:
    """Split as a shell would; in a synopsis, brackets and bars are not words."""
    synopsis = re.sub(r"[\[\]]", " ", piece) if re.search(r"\[[A-Z-]", piece) else piece
    try:
        return shlex.split(synopsis, comments=True)
    except ValueError:
        return synopsis.split()


def commands_of_block(page: str = "README.md") -> list[str]:
    """Return every line typed in the console blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [line for block in BLOCK.finditer(text) if block[1] == "console" for line in typed(block[2])]
