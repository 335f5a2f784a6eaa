"""Images that come as arrays of a `.npz` file."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.data.paths import locate
from workbench.data.sources import builtin, in_memory
from workbench.errors import DataError
from workbench.security import safe_npz
from workbench.spec.interfaces import Images, Places, Source
from workbench.spec.part import part, setting


@part
class Npz(Source):
    """Arrays in a `.npz` file: uint8 images [N, h, w] or [N, h, w, 3] and whole-number labels [N].

    An optional array of texts `names` names the identities by label. Object arrays are never read:
    loading one would run whatever is inside it.
    """

    path: str = setting(positional=True, doc="the .npz file, below WORKBENCH_DATA or absolute")
    image_key: str = setting("images", doc="name of the array of images")
    label_key: str = setting("labels", doc="name of the array of labels")

    def open(self, places: Places) -> Images:
        path = locate(self.path, places, f"Npz({self.path!r})", "a file")
        arrays = safe_npz.load(path, (self.image_key, self.label_key), ("names",))
        pixels, written = arrays[self.image_key], arrays[self.label_key]
        _check(path, pixels, written)
        values, labels = np.unique(written, return_inverse=True)
        named = arrays.get("names")
        if named is not None and (named.ndim != 1 or values[0] < 0 or len(named) <= values[-1]):
            raise DataError("names do not match the labels", where=path, expected="one text for each label")
        identities = [str(value if named is None else named[value]) for value in values]
        holes = int(values[-1] - values[0] + 1 - len(values))
        note = f"{holes} labels between {values[0]} and {values[-1]} do not occur; numbered without holes"
        ids = [f"{identities[label]}/{number:06d}" for number, label in enumerate(labels)]
        return in_memory.from_array(pixels, labels, identities, ids, notes=(note,) if holes else ())

    def stand_in(self) -> Source:
        return builtin.small_faces(self.hold_out)


def _check(path: Any, pixels: np.ndarray, labels: np.ndarray) -> None:
    right = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] in (1, 3))
    if pixels.dtype != np.uint8 or not right or not pixels.size:
        raise DataError(
            f"images are {pixels.dtype} {list(pixels.shape)}",
            where=path,
            expected="uint8 [N, h, w] or [N, h, w, 3]",
        )
    if labels.dtype.kind not in "iu" or labels.shape != pixels.shape[:1]:
        raise DataError(
            f"labels are {labels.dtype} {list(labels.shape)}",
            where=path,
            expected=f"whole numbers [{len(pixels)}]",
        )
    if len(np.unique(labels)) < 2:
        raise DataError("all images have one label", where=path, expected="at least two identities")
