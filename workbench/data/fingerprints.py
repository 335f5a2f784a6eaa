"""Fingerprints of data: what they are made of, and whether a source is still what it was when last used here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.data import cache
from workbench.spec.interfaces import Images, Places, Source
from workbench.spec.part import to_json

FILE = "fingerprints.json"
SAMPLED = 256  # images whose content enters a sampled fingerprint


def of_contents(digest: Any, count: int, exact: bool, read: Callable[[int], bytes]) -> str:
    """Return 16 hex digits over a begun SHA-256 and the content of all `count` images (exact), or of a sample of them."""
    sampled = count if exact else min(SAMPLED, count)
    for number in np.unique(np.linspace(0, count - 1, sampled).astype(int)).tolist():
        digest.update(hashlib.sha256(read(number)).digest())
    return str(digest.hexdigest()[:16])


def compared(source: Source, images: Images, places: Places) -> Images:
    """Return `images`, with a note where its fingerprint differs from that of the last use of `source`.

    The new fingerprint replaces the old one, so that a change is said once. Without a cache nothing is
    remembered; a damaged memory is begun anew.
    """
    if places.cache is None:
        return images
    path = places.cache / FILE
    known = _known(path.read_bytes()) if path.is_file() else {}
    # Without the hold-out share, which chooses among the images and changes none.
    settings = {**to_json(source, identity=True), "hold_out": None}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    before = known.get(key)
    if before == images.fingerprint:
        return images
    cache.write(path, json.dumps({**known, key: images.fingerprint}, indent=1).encode())
    if before is None:
        return images
    note = (
        f"{source} has changed since it was last used here (fingerprint {before}, now {images.fingerprint})"
    )
    return dataclasses.replace(images, notes=(*images.notes, note))


def _known(content: bytes) -> dict[str, str]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
