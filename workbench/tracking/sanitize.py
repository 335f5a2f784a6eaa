"""What comes from another machine, as it may be recorded here: rows and files with their secrets taken out.

The other machine may have recorded them with an older version, or may hold what only this one knows to be
a secret (the value of an environment variable). Checkpoints are arrays and are taken as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

from workbench.errors import RecordError
from workbench.security.foreign_files import read_file
from workbench.security.masking import masked, secrets_in, secrets_in_diff
from workbench.tracking.code import DIFF
from workbench.tracking.journal_lines import decode_line, encode_row
from workbench.tracking.tracker import without_secrets


def trusted(path: Path) -> list[bytes]:
    """Return the lines of a journal whose checksums fit, without line breaks and secrets."""
    return [line for raw in lines_of(path) if (line := clean_line(raw)) is not None]


def lines_of(path: Path) -> list[bytes]:
    """Return the lines of a journal as they are."""
    return [line for line in read_file(path).split(b"\n") if line]


def clean_line(line: bytes) -> bytes | None:
    """Return a journal's line without secrets, `line` itself where it holds none, None where it is not sound."""
    try:
        # Checked before it is masked: a line that is damaged must not get a fresh checksum here.
        decode_line(line)
    except RecordError:
        return None
    row = json.loads(line[9:])
    clean = masked(row)  # all of it: fields that this version does not know come along
    if clean == row:
        return line
    # A run whose spec lost a secret says so, for a resume then needs the spec file.
    if "spec" in row and clean["spec"] != row["spec"]:
        clean["provenance"] = {**clean.get("provenance", {}), "masked": True}
    return encode_row(clean).rstrip(b"\n")


def harmless_lines(path: Path) -> bytes:
    """Return a journal as it may be kept: sound lines masked, others as they are where they hold no secret."""
    kept = []
    for raw in lines_of(path):
        clean = clean_line(raw)
        if clean is None and not secrets_in(raw.decode("utf-8", "replace")):
            clean = raw
        kept += [clean + b"\n"] if clean is not None else []
    return b"".join(kept)


def clean_file(name: str, content: bytes) -> bytes | None:
    """Return what of a file's content may be kept: all of it, its text with secrets masked, or None.

    None for a file that is not text and holds a secret, and for stored changes that do, which would no longer
    apply.
    """
    if name == DIFF and secrets_in_diff(content.decode("utf-8", "replace")):
        return None
    return without_secrets(content)
