"""Images that come as arrays: the data sets of keras.datasets, and `.npz` files."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.data.paths import locate
from workbench.data.sources import builtin, in_memory
from workbench.errors import DataError, suggestion
from workbench.lazy import tf
from workbench.spec.interfaces import Images, Places, Source
from workbench.spec.part import part, setting

FASHION = ["top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

FILES = {  # of each set, in Keras's folder of data sets: how their names begin
    "mnist": "mnist.npz",
    "fashion_mnist": "fashion-mnist",
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
}


@part
class KerasData(Source):
    """A data set of keras.datasets: training images, or the test images with `subset="test"`.

    Keras keeps it under `~/.keras/datasets`, or under `datasets` of the folder that `KERAS_HOME` names, and
    downloads it there when it is missing.
    """

    name: Literal["mnist", "fashion_mnist", "cifar10", "cifar100"] = setting(positional=True, doc="which set")
    subset: Literal["train", "test"] = setting("train", doc="which images")

    def open(self, places: Places) -> Images:
        pixels, labels = self._load()
        classes = {"fashion_mnist": FASHION, "cifar10": CIFAR10}.get(self.name)
        names = classes or [str(number) for number in range(int(labels.max()) + 1)]
        ids = [f"{names[label]}/{number:05d}" for number, label in enumerate(labels)]
        return in_memory.from_array(pixels, labels, names, ids)

    def missing(self, places: Places) -> str | None:
        if self._cached():
            return None
        return f"{self.name} is not at {self._looked()}; a run lets Keras download it"

    def fetch(self, places: Places) -> str | None:
        if self._cached():
            return None
        try:
            self._load()
        except DataError as error:
            return str(error)
        return None

    def stand_in(self) -> Source:
        return builtin.Digits(hold_out=self.hold_out)

    def _cached(self) -> bool:
        return any(any(folder.glob(f"{FILES[self.name]}*")) for folder in keras_folders())

    def _looked(self) -> str:
        return " or ".join(str(folder / FILES[self.name]) for folder in keras_folders())

    def _load(self) -> tuple[np.ndarray, np.ndarray]:
        load = getattr(tf.keras.datasets, self.name).load_data
        try:
            with _in_keras_home(load), contextlib.redirect_stdout(sys.stderr):  # it tells its progress
                both = load()
        except Exception as error:  # Keras wraps every failure of the network into a bare Exception
            reason = " ".join((str(error) or type(error).__name__).split())[:200]
            raise DataError(
                f"is neither cached nor downloadable (looked for {self._looked()}; {reason})",
                where=f"KerasData({self.name!r})",
                do="copy its files there from another machine",
            ) from error
        pixels, labels = both[0] if self.subset == "train" else both[1]
        return np.asarray(pixels, np.uint8), np.asarray(labels).ravel().astype(np.int64)


def keras_home() -> Path:
    """Return the folder under which Keras keeps its files."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()


@contextlib.contextmanager
def _in_keras_home(load: Callable[..., Any]) -> Iterator[None]:
    """Let one of Keras's loaders look in `keras_home()`: Keras 2 heeds KERAS_HOME for all but its data."""
    names = load.__globals__
    usual = names.get("get_file")
    if usual is None:  # a later Keras that fetches in another way, and heeds KERAS_HOME
        yield
        return
    names["get_file"] = functools.partial(usual, cache_dir=str(keras_home()))
    try:
        yield
    finally:
        names["get_file"] = usual


def keras_folders() -> tuple[Path, ...]:
    """Return the folders in which Keras looks for data sets: /tmp takes the place of one it cannot write to."""
    home = keras_home()
    usable = os.access(home if home.exists() else home.parent, os.W_OK)
    return (home / "datasets",) if usable else (home / "datasets", Path("/tmp/.keras/datasets"))


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
        arrays = load_npz(path, (self.image_key, self.label_key), ("names",))
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


def load_npz(path: Any, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Return named arrays of a `.npz`; raises `DataError` for damage, objects, or more than it can hold."""
    try:
        _refuse_bombs(path)
        with np.load(path, allow_pickle=False) as file:
            for key in wanted:
                if key not in file.files:
                    raise DataError(f"has no array {key!r}", where=path, do=suggestion(key, file.files))
            return {key: file[key] for key in (*wanted, *optional) if key in file.files}
    except DataError:
        raise
    except (
        ValueError,
        OSError,
        EOFError,
        KeyError,
        AttributeError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
        zipfile.BadZipFile,
        zipfile.error,
    ) as error:
        reason = (
            "holds Python objects" if "allow_pickle" in str(error) or "Object" in str(error) else "is damaged"
        )
        raise DataError(
            f"{reason}, or is no .npz", where=path, expected="plain arrays written by np.savez"
        ) from error


def _refuse_bombs(path: Any) -> None:
    """Refuse an archive whose content is a thousand times its size: memory must not follow a lie."""
    with zipfile.ZipFile(path) as archive:
        size = max(1, sum(info.compress_size for info in archive.infolist()))
        if sum(info.file_size for info in archive.infolist()) > 1000 * size + 2**20:
            raise DataError("states a content far beyond its size", where=path, expected="a real .npz")


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
