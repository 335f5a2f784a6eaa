"""Images that come as arrays of a `.npz` file."""

from __future__ import annotations

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
        in_memory.check_pixels(pixels, path)
        if written.dtype.kind not in "iu" or written.shape != pixels.shape[:1]:
            raise DataError(
                f"labels are {written.dtype} {list(written.shape)}",
                where=path,
                expected=f"whole numbers [{len(pixels)}]",
            )
        labels, values, notes = in_memory.numbered(written, path)
        named = arrays.get("names")
        if named is not None and (named.ndim != 1 or values[0] < 0 or len(named) <= values[-1]):
            raise DataError("names do not match the labels", where=path, expected="one text for each label")
        identities = [str(value if named is None else named[value]) for value in values]
        ids = [f"{identities[label]}/{number:06d}" for number, label in enumerate(labels)]
        return in_memory.from_array(pixels, labels, identities, ids, notes=notes)

    def stand_in(self) -> Source:
        return builtin.small_faces(self.hold_out)
