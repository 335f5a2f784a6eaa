"""What is shown is text: the one place for each kind of output that takes the power out of what records hold.

A run's name, a metric of an imported log or the message of an error may hold escape sequences for a terminal,
markup of the tables, a formula for a spreadsheet, a script for a browser. The program's streams, cells and pages
go through here; only the live progress bar, whose sequences are our own, writes them as they are.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# Controls of a terminal, marks that turn the direction of a line, ends of lines of other systems, what takes no room
# (two names that differ in it look alike), and halves of letters, which no stream can write. Line breaks and tabs are
# our own; joiners of letters are part of how some languages write.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a cell begins that a spreadsheet would work out


def visible(text: str) -> str:
    """Return `text` with every character that acts instead of being seen written out: `\\x1b`."""
    return _UNSEEN.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    number = ord(found[0])
    return (
        f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
    )


def one_line(text: object) -> str:
    """Return what is visible of a text, on one line."""
    return visible(" ".join(str(text).split()))


def markup(text: object) -> str:
    """Return `text` as a cell or title of a rich table, which would take square brackets for styles."""
    from rich.markup import escape

    return escape(visible(str(text)))


def console(stream: TextIO | None, **options: Any) -> Console:
    """Return a console of rich on `stream`, which writes the escape sequences of rich and of nobody else.

    Texts of records that are handed to it go through `markup`, or `visible` where markup is off.
    """
    from rich.console import Console

    own = getattr(stream, "with_controls", None)
    return Console(file=own() if own else stream, **options)


def spreadsheet_cell(value: Any) -> Any:
    """Return `value` as a cell of a CSV file: a text that a spreadsheet would work out gets a `'` before it."""
    if not isinstance(value, str) or _is_number(value):
        return value
    return f"'{visible(value)}" if value.lstrip(" ").startswith(FORMULA) else visible(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def markdown_cell(text: object) -> str:
    """Return `text` as it may stand in a line of Markdown: no HTML, no end of a cell, no link or picture."""
    return re.sub(r"([\\`\[\]<>|])", r"\\\1", one_line(text))


def markdown_prose(text: str) -> str:
    """Return prose of a spec, which may well be Markdown, without HTML and without links that a browser would run."""
    plain = re.sub(r"<(?=[A-Za-z/!?])", r"\\<", visible(text))
    return re.sub(r"\](?=\(\s*(?!https?:)[A-Za-z][\w+.-]*:)", r"\\]", plain)


def link(address: str) -> str:
    """Return an address as a page may link to it: of the web or relative, nothing that a browser would run."""
    from urllib.parse import quote

    known = re.match(r"(?:https?://|[^:]*(?:/|$))", address)
    return quote(visible(address), safe="/:#?&=%.,~@+!$'()*; ") if known else "#"


# ---------------------------------------------------------------- streams

_surviving = 0  # how many trainings are at work: while one is, the loss of a stream ends nothing


class VisibleStream:
    """A text stream of this process: what it writes is visible, and its loss may be survived."""

    def __init__(self, stream: TextIO, controls: bool = False) -> None:
        self._stream, self._controls, self._lost = stream, controls, False

    def write(self, text: str) -> int:
        """Write `text`, unseen characters written out."""
        if not self._lost:
            self._survive(self._stream.write, text if self._controls else visible(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what is written."""
        if not self._lost:
            self._survive(self._stream.flush)

    def with_controls(self) -> VisibleStream:
        """Return the same stream for a writer whose escape sequences are its own."""
        return VisibleStream(self._stream, controls=True)

    def _survive(self, work: Any, *words: Any) -> None:
        try:
            work(*words)
        # Its reader ended, its terminal is gone, its disk is full, it is closed.
        except (OSError, ValueError):
            if not _surviving:
                raise
            self._lost = True
            with contextlib.suppress(OSError, ValueError):  # so that its flush at the end finds a place
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # isatty, encoding, fileno, buffer ...


@contextlib.contextmanager
def visible_streams() -> Iterator[None]:
    """Show what this process says through `VisibleStream` until the block ends; without a stream, say it to nobody."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout, sys.stderr = (VisibleStream(stream or nowhere) for stream in before)  # type: ignore[assignment]
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def surviving_lost_streams() -> Iterator[None]:
    """Let no loss of standard output or error end what is done in the block: a training."""
    global _surviving
    _surviving += 1
    try:
        yield
    finally:
        _surviving -= 1
