"""One line of a journal: the CRC32 of the rest in 8 hex digits, a space, and one JSON object.

A line whose checksum does not fit was damaged and is never trusted. One whose checksum fits and whose content
is impossible was written so, by another program or on purpose: `Unreadable`, for the whole record is in doubt.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from workbench.errors import RecordError
from workbench.names import declare_recorded
from workbench.tracking.rows import Record, StartRecord, from_json, to_json


class Unreadable(RecordError):
    """A line that is as it was written and yet says what no record can."""


def encode_line(record: Record) -> bytes:
    """Return the line of `record`, its line break included."""
    return encode_row(to_json(record))


def encode_row(row: Mapping[str, Any]) -> bytes:
    """Return the line of a row that is plain JSON already."""
    # Strict JSON, for any program to read; letters as they are, so that a person can read it too.
    text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # File names may hold bytes that are not text; they must not cost the row.
    body = text.encode("utf-8", errors="backslashreplace")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode_line(line: bytes) -> Record:
    """Return the record of one line without its line break; RecordError when it cannot be trusted.

    `Unreadable` where it is as it was written, and impossible.
    """
    if line[8:9] != b" " or line[:8] != b"%08x" % zlib.crc32(line[9:]):
        raise RecordError("the checksum does not fit")
    try:
        row = from_json(_plain_texts(json.loads(line[9:].decode(), parse_constant=_refuse), line))
    except (RecordError, ValueError, RecursionError) as error:
        raise Unreadable(str(error) or "it is nested too deeply") from error
    if isinstance(row, StartRecord):  # whoever reads a run learns what its record says of its metrics
        declare_recorded(row.parameters, row.tags)
    return row


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


def _plain_texts(value: Any, line: bytes) -> Any:
    """Return the row with halves of letters, which no file and no screen takes, made visible."""
    # Looked at only where the raw line has such an escape: it is the rare case, and rows are read by the thousand.
    if b"\\ud" not in line.lower():
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain_texts(name, line): _plain_texts(item, line) for name, item in value.items()}
    return [_plain_texts(item, line) for item in value] if isinstance(value, list) else value
