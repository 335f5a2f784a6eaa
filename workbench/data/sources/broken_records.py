"""Images in record files that are not whole: found when asked for, left out, and counted.

A record file's index is made from the headers of its records alone; looking at every image reads the
whole file once, so it is done only for `broken="skip"`, and its result is kept in the cache.
"""

from __future__ import annotations

import json

import numpy as np

from workbench.data import image_check
from workbench.data.sources.byte_ranges import Ranges
from workbench.errors import few

ALIGNED = ("keys", "labels", "offsets", "lengths", "teacher_offsets", "teacher_lengths")  # a row a record


def broken(ranges: Ranges) -> np.ndarray:
    """Return the numbers of the records whose image is not whole, int64, ascending."""
    faults = [k for k in range(len(ranges.offsets)) if image_check.fault_of(ranges.one(k))]
    return np.array(faults, np.int64)


def without(found: dict[str, np.ndarray], left_out: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """Return the arrays of an index without some records, and a line that says how many and which."""
    count = len(found["labels"])
    kept = np.delete(np.arange(count), left_out)
    rows = {name: found[name][kept] for name in ALIGNED if name in found and len(found[name]) == count}
    result = {**found, **rows}
    if "joined" in found:
        joined = found["joined"][np.isin(found["joined"][:, 0], kept)]
        renumbered = np.searchsorted(kept, joined[:, 0])
        result["joined"] = np.column_stack([renumbered, joined[:, 1:]]).astype(np.int64)
    named = [f"record {found['keys'][k] if 'keys' in found else k}" for k in left_out]
    if "words" in found:
        words = json.loads(found["words"].tobytes())
        named = [words["names"][k] for k in left_out]
        words["names"] = [words["names"][k] for k in kept]
        result["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
    return result, f"{len(left_out)} of {count} images are not whole, left out: {few(named)}"
