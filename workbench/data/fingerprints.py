"""Whether data is still what it was: fingerprints of sources as they were last used here."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from workbench.data import cache
from workbench.spec.interfaces import Images, Places, Source
from workbench.spec.part import to_json

FILE = "fingerprints.json"


def compared(source: Source, images: Images, places: Places) -> Images:
    """Return `images`, with a note where its fingerprint differs from that of the last use of `source`.

    The new fingerprint replaces the old one, so that a change is said once. Without a cache nothing is
    remembered; a damaged memory is begun anew.
    """
    if places.cache is None:
        return images
    path = places.cache / FILE
    known = _known(path.read_bytes()) if path.is_file() else {}
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
