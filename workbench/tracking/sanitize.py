"""What comes from another machine, as it may be recorded here: rows and files with their secrets taken out.

The other machine may have recorded them with an older version, or may hold what only this one knows to be
a secret (the value of an environment variable). Checkpoints are arrays and are taken as they are.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from workbench.errors import RecordError
from workbench.security.masking import mask, secrets_in_diff
from workbench.tracking.code import DIFF
from workbench.tracking.journal import decode_line, encode_line
from workbench.tracking.rows import EndRecord, StartRecord
from workbench.tracking.tracker import clean_start, without_secrets


def trusted(path: Path) -> list[bytes]:
    """Return the lines of a journal whose checksums fit, without line breaks and secrets."""
    return [line for raw in lines_of(path) if (line := clean_line(raw)) is not None]


def lines_of(path: Path) -> list[bytes]:
    """Return the lines of a journal as they are."""
    return [line for line in path.read_bytes().split(b"\n") if line]


def clean_line(line: bytes) -> bytes | None:
    """Return a journal's line without secrets, `line` itself where it holds none, None where it is not sound."""
    try:
        row = decode_line(line)
    except (RecordError, ValueError):
        return None
    clean = row
    if isinstance(row, StartRecord):
        clean = clean_start(row)
    elif isinstance(row, EndRecord):
        clean = dataclasses.replace(row, reason=mask(row.reason))
    return line if clean == row else encode_line(clean).rstrip(b"\n")


def clean_file(path: Path) -> bytes | None:
    """Return what of a file may be kept: its content, its text with secrets masked, or None.

    None for a file that is not text and holds a secret, and for stored changes that do, which would no longer
    apply.
    """
    content = path.read_bytes()
    if path.name == DIFF and secrets_in_diff(content.decode("utf-8", "replace")):
        return None
    return without_secrets(content)
