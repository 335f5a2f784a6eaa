"""The data sets of keras.datasets: read where Keras keeps them, and downloaded by Keras when they are not there."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.data.sources import builtin, in_memory
from workbench.errors import DataError
from workbench.lazy import tf
from workbench.security import safe_npz, safe_pickle
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
BATCHES = {  # of a set in pickles: the files of each subset, and the key of its labels
    "cifar10": ({"train": [f"data_batch_{n}" for n in range(1, 6)], "test": ["test_batch"]}, "labels"),
    "cifar100": ({"train": ["train"], "test": ["test"]}, "fine_labels"),
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
        kept = (folder / FILES[self.name] for folder in keras_folders())
        # Fashion-MNIST is left to Keras, which takes its files for plain bytes: there is nothing in them that could run.
        there = next((path for path in kept if path.exists() and self.name != "fashion_mnist"), None)
        pixels, labels = self._ask_keras() if there is None else self._read(there)
        return np.asarray(pixels, np.uint8), np.asarray(labels).ravel().astype(np.int64)

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Return what lies at `path` already.

        Keras would run whatever is pickled in it, and where its check sum is not that of the published file
        (images of one's own, another packing), or the archive beside an unpacked folder is gone, it would
        download again and, with no network, remove the file.
        """
        try:
            if self.name in BATCHES:
                return read_batches(path, *BATCHES[self.name], self.subset)
            keys = f"x_{self.subset}", f"y_{self.subset}"
            arrays = safe_npz.load(path, keys)
            return _checked(path, arrays[keys[0]], arrays[keys[1]])
        except DataError as error:
            do = f"{error.do or 'copy it again'}, or remove {path}: then Keras downloads it"
            raise DataError(error.what, where=error.where, expected=error.expected, do=do) from error

    def _ask_keras(self) -> tuple[np.ndarray, np.ndarray]:
        load = getattr(tf.keras.datasets, self.name).load_data
        try:
            with _in_keras_home(load), contextlib.redirect_stdout(sys.stderr):  # it tells its progress
                train, test = load()
        except Exception as error:  # Keras wraps every failure of the network into a bare Exception
            reason = " ".join((str(error) or type(error).__name__).split())[:200]
            raise DataError(
                f"is neither cached nor downloadable (looked for {self._looked()}; {reason})",
                where=f"KerasData({self.name!r})",
                do="copy its files there from another machine",
            ) from error
        return train if self.subset == "train" else test


def read_batches(
    folder: Path, files: dict[str, list[str]], label_key: str, subset: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return images [N, 32, 32, 3] and labels [N] of the pickles of CIFAR; nothing in them is run."""
    pixels, labels = [], []
    for name in files[subset]:
        path = folder / name
        held = safe_pickle.load(path, dictionaries=True)
        flat = held.get("data") if isinstance(held, dict) else None
        if not isinstance(flat, np.ndarray) or flat.ndim != 2 or flat.shape[1] != 3 * 32 * 32:
            raise DataError("holds no images", where=path, expected="'data' of N rows of 3072 pixels")
        images = flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        images, written = _checked(path, images, np.asarray(held.get(label_key, ())))
        pixels.append(images)
        labels.append(written)
    return np.concatenate(pixels), np.concatenate(labels)


def _checked(path: Path, pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both; refuses what is not a set of images with a class each."""
    classes = 100 if path.parent.name == FILES["cifar100"] else 10
    known = labels.dtype.kind in "iu" and labels.size > 0 and 0 <= labels.min() <= labels.max() < classes
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or not known or labels.size != len(pixels):
        raise DataError(
            f"images are {pixels.dtype} {list(pixels.shape)}, labels {labels.dtype} {list(labels.shape)}",
            where=path,
            expected=f"uint8 images, and for each a class of 0 to {classes - 1}",
        )
    return pixels, labels.ravel()


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

    def get_file(*words: Any, **given: Any) -> Any:
        return usual(*words, **{**given, "cache_dir": str(keras_home())})  # later loaders say None themselves

    names["get_file"] = get_file
    try:
        yield
    finally:
        names["get_file"] = usual


def keras_folders() -> tuple[Path, ...]:
    """Return the folders in which Keras looks for data sets: /tmp takes the place of one it cannot write to."""
    home = keras_home()
    usable = os.access(home if home.exists() else home.parent, os.W_OK)
    return (home / "datasets",) if usable else (home / "datasets", Path("/tmp/.keras/datasets"))
