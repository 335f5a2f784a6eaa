"""Reading text files, of any encoding and of any size: blocks of whole lines in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from analysis.sources.same_format_epochs import EpochFormat
from workbench.errors import RecordError
from workbench.security.foreign_files import opened

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 23  # a "line" beyond this is not a line of a log


def blocks(path: Path) -> Iterator[tuple[int, list[bytes], bool]]:
    """Yield (1-based number of the first line, lines without their ends, whether the last one is cut).

    Only the file's very last line can be cut: it has no line end, so its last value may be incomplete.
    Raises `RecordError` for a file that cannot be read or has no lines of sensible length.
    """
    number, carried = 1, b""
    for block in _text_blocks(path):
        *lines, carried = (carried + block).replace(b"\r\n", b"\n").split(b"\n")
        if len(carried) > LONGEST_LINE_BYTES:
            raise RecordError("is not a text log: a line goes on for megabytes", where=path)
        if lines:
            yield number, lines, False
            number += len(lines)
    if carried:
        yield number, [carried], True


def bar_lines(path: Path, alike: EpochFormat) -> Iterator[tuple[int, bytes | list[re.Match[bytes]], bool]]:
    """Yield (1-based number, line as last printed, whether it is cut) of output with progress bars, and instead of
    their lines the matches of epochs that are `alike`.

    A carriage return or backspaces begin a line anew, so only what stands behind the last of them is left; a
    bar of a hundred megabytes takes no more memory than its last state. States on the way that are lines of
    their own (`ETA`) are left out here, at the speed of C, because nine tenths of such output is them.
    """
    number, carried = 1, b""
    for block in _text_blocks(path):
        content = (carried + block).replace(b"\r\n", b"\n")
        position, end = 0, content.rfind(b"\n") + 1
        carried = content[end:]
        while position < end:
            if matches := alike.found(content, position):
                yield number, matches, False
                number, position = number + 2 * len(matches), matches[-1].end()
                continue
            stop = content.find(b"\n", position)
            line, position = content[position:stop], stop + 1
            if b"\r" in line or b"\b" in line:
                line = _last_printed(line)
            if b" ETA:" not in line:
                yield number, line, False
            number += 1
        if len(carried) > BLOCK_BYTES:
            held = carried[-1:] if carried[-1:] in b"\r\b" else b""
            carried = _last_printed(carried) + held
            if len(carried) > LONGEST_LINE_BYTES:
                raise RecordError("is not a text log: a line goes on for megabytes", where=path)
    if carried.strip(b"\r\b"):
        yield number, _last_printed(carried), True


def _last_printed(line: bytes) -> bytes:
    line = line.rstrip(b"\r\b")
    return line[max(line.rfind(b"\r"), line.rfind(b"\b")) + 1 :]


def is_hidden(path: Path) -> bool:
    """Tell files that no program of ours or theirs wrote: `.DS_Store`, `._name`, `.trash/` ..."""
    return any(part.startswith(".") for part in path.parts)


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Hold a file of the user's open; raises `RecordError` where it cannot be opened or read."""
    try:
        with opened(path) as file:
            yield file
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=path) from error


def _text_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's content in blocks; UTF-16, which a console of Windows writes, becomes UTF-8."""
    with reading(path) as file:
        block = file.read(BLOCK_BYTES)
        if block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            # Whole: a block may end within a letter of two bytes, and what consoles write is small.
            yield plain_text(block + file.read()).encode()
            return
        yield block.removeprefix(codecs.BOM_UTF8)
        while block := file.read(BLOCK_BYTES):
            yield block


def decoded(path: Path) -> str:
    """Return the text of a file with plain line ends: UTF-8 or UTF-16, with a byte order mark or without.

    Raises `RecordError` for a file that cannot be read.
    """
    with reading(path) as file:
        return plain_text(file.read())


def plain_text(content: bytes) -> str:
    """Return bytes as text without a byte order mark, with plain line ends."""
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        text = content.decode("utf-16", "replace")
    elif content[1:64:2].count(0) > 16:  # every other byte of Latin letters in UTF-16
        text = content.decode("utf-16-le", "replace")
    elif content[:64:2].count(0) > 16:
        text = content.decode("utf-16-be", "replace")
    else:
        text = content.decode("utf-8", "replace")
    text = text.lstrip("\ufeff")
    if "\r" not in text:
        return text
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")


def set_name(text: str) -> str:
    """Return the name of an evaluation set that may be printed as the path of its file."""
    return text.replace("\\", "/").rstrip("/").rpartition("/")[2].removesuffix(".bin") or text
