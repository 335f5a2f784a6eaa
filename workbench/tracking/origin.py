"""Where a record was made: a seal by which a store knows its own runs, and what was kept with them.

A record may have come by `merge`, in an archive or by mail, and may name code: the spec file that defines its own
parts, modules beside it, changes of a repository. Only what this store itself wrote is run unasked. Each start
row that it writes carries a seal over the whole row and the texts kept with it; the key lies in the store, in a
file that nobody else can read, that is never copied by `merge`, and that holds its own file number, so that a
copy of the whole folder (an unpacked archive) is not taken for the store itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import StoreError
from workbench.files import replacing_private
from workbench.security.foreign_files import open_file, read_inside
from workbench.tracking.locks import lock
from workbench.tracking.rows import StartRecord, to_json
from workbench.tracking.store import Store

FACT = "origin"  # among a start row's provenance: {"seal": hex digits, "texts": {name: digest}}
LOCK_PATIENCE = 5.0  # seconds; the key is made in a moment
KEY = ".origin-{user}"  # a file for each user of a shared store: another's code is foreign code


def sealed(store: Store, start: StartRecord, texts: Mapping[str, bytes]) -> StartRecord:
    """Return a start row with this store's seal over it and over `texts`, the files kept with it."""
    digests = {name: _digest(content) for name, content in texts.items()}
    # The seal is over the row with an empty seal in its place: a reader can take it out again and compare.
    row = _with(start, {"seal": "", "texts": digests})
    return _with(start, {"seal": _seal(_key(store, make=True), row), "texts": digests})


def is_own(store: Store, start: StartRecord) -> bool:
    """Tell whether this store made the record, which is as it was then."""
    found, key = start.provenance.get(FACT), _key(store, make=False)
    if not isinstance(found, Mapping) or not isinstance(found.get("texts"), Mapping) or not key:
        return False
    row = _with(start, {"seal": "", "texts": dict(found["texts"])})
    # In constant time, as for every secret; the recorded seal may be any text, so it is made ASCII first.
    return hmac.compare_digest(
        _seal(key, row), str(found.get("seal", "")).encode("ascii", "replace").decode()
    )


def is_unchanged(store: Store, start: StartRecord, name: str) -> bool:
    """Tell whether a text kept with a record of this store is as it was then."""
    digests = start.provenance.get(FACT, {}).get("texts", {})
    try:
        content = read_inside(store.run_artifacts(start.run), name)
    except OSError:
        return False
    return is_own(store, start) and digests.get(name) == _digest(content)


def token(store: Store, purpose: str) -> str:
    """Return a secret of this store and user for `purpose`: whoever can read the store's key has it, nobody else.

    Raises `StoreError` where the store cannot hold a key.
    """
    key = _key(store, make=True)
    if not key:
        raise StoreError("cannot hold a key", where=store.root, do="make the folder writable")
    return hmac.new(key, purpose.encode(), hashlib.sha256).hexdigest()


def _with(start: StartRecord, fact: Mapping[str, Any]) -> StartRecord:
    return dataclasses.replace(start, provenance={**start.provenance, FACT: fact})


def _seal(key: bytes, start: StartRecord) -> str:
    text = json.dumps(to_json(start), sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _key(store: Store, make: bool) -> bytes:
    """Return the store's key of this user, made where it is missing and asked for; empty for none."""
    path = store.root / KEY.format(user=os.geteuid())
    found = _read(path)
    if found or not make:
        return found
    # A store that cannot hold it: its records have no seal that fits.
    with contextlib.suppress(OSError, StoreError), lock(store.root / ".origin.lock", patience=LOCK_PATIENCE):
        if not _read(path):  # else another process was first, and its key counts
            with replacing_private(path) as file:
                file.write(f"{secrets.token_hex(32)} {os.fstat(file.fileno()).st_ino}\n")
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        with os.fdopen(open_file(path, follow=False), encoding="ascii") as file:
            facts, words = os.fstat(file.fileno()), file.read(200).split()
    except (OSError, ValueError):
        return b""
    # The number of the file is in the file: a copy of the whole folder has another one, and is a foreign store.
    right = len(words) == 2 and len(words[0]) == 64 and words[1] == str(facts.st_ino)
    return words[0].encode() if right and facts.st_uid == os.geteuid() else b""
