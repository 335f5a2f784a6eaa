"""Drawn faces, digits, arrays in files: what they hold and what they refuse."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from material import mutations, places, survives

from workbench import Digits, KerasData, Npz, SyntheticFaces
from workbench.data.sources import face_drawing
from workbench.errors import DataError
from workbench.security import safe_npz


def test_drawn_faces_follow_from_seed_person_and_number() -> None:
    def draw(seed: int, people: list[int], numbers: list[int], **k: float) -> np.ndarray:
        return face_drawing.draw(seed, np.array(people), np.array(numbers), 32, 1.0, 0.2, 6.0, **k)

    many = draw(0, list(range(70)), [3] * 70)
    np.testing.assert_array_equal(many[[5, 66]], draw(0, [5, 66], [3, 3]))  # whatever is drawn beside it
    assert many.dtype == np.uint8
    assert (draw(1, [5], [3]) != many[5]).any()
    assert (draw(0, [5], [4]) != many[5]).any()
    assert len(np.unique(many.reshape(70, -1), axis=0)) == 70


def test_pixels_alone_tell_little() -> None:
    """The cosine of pixels minus the mean image stays near chance on pairs, so there is much to learn."""
    who, which = np.repeat(np.arange(30), 6), np.tile(np.arange(6), 30)
    x = face_drawing.draw(0, who, which, 32, 1.0, 0.15, 6.0).reshape(180, -1).astype(np.float32)
    x -= x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    first, second = np.triu_indices(180, 1)
    scores, same = (x @ x.T)[first, second], who[first] == who[second]
    chance = np.random.default_rng(0)
    different = chance.permutation(np.flatnonzero(~same))[: same.sum()]
    kept = np.concatenate([np.flatnonzero(same), different])
    best = max(
        ((scores[kept] > t) == same[kept]).mean() for t in np.quantile(scores[kept], np.linspace(0, 1, 99))
    )
    assert 0.5 <= best < 0.65


def test_synthetic_source(tmp_path: Path) -> None:
    source = SyntheticFaces(identities=3, images=4, image_size=16)
    images = source.open(places(tmp_path))
    np.testing.assert_array_equal(images.labels, np.repeat(np.arange(3), 4))
    assert images.names[5] == "person0001/001"
    (cached,) = (tmp_path / ".cache").glob("faces-*.array")
    again = source.open(places(tmp_path))
    assert again.fingerprint == images.fingerprint
    cached.write_bytes(cached.read_bytes()[:-3] + b"abc")  # a damaged cache is not believed
    source.open(places(tmp_path))
    assert source.but(seed=1).open(places(tmp_path)).fingerprint != images.fingerprint
    assert source.but(hold_out=0.5).open(places(tmp_path)).fingerprint == images.fingerprint
    assert SyntheticFaces().quick().identities == 8


def test_digits(tmp_path: Path) -> None:
    images = Digits().open(places(tmp_path))
    assert len(images.labels) == 1797
    assert images.identities == tuple("0123456789")
    assert images.names[0] == "0/0000"


def write_npz(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


def test_npz(tmp_path: Path) -> None:
    pixels = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
    write_npz(tmp_path / "a.npz", images=pixels, labels=np.array([7, 7, 9, 9, 7, 9]))
    images = Npz("a.npz").open(places(tmp_path))
    np.testing.assert_array_equal(images.labels, [0, 0, 1, 1, 0, 1])
    assert images.identities == ("7", "9")
    assert "1 labels between 7 and 9 do not occur" in images.notes[0]
    names = np.array([f"n{k}" for k in range(10)])
    write_npz(tmp_path / "b.npz", x=pixels[..., None], y=np.array([7, 7, 9, 9, 7, 9]), names=names)
    assert Npz("b.npz", image_key="x", label_key="y").open(places(tmp_path)).identities == ("n7", "n9")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.zeros((2, 4, 4), np.uint8)}, "has no array 'labels'"),
        ({"images": np.zeros((2, 4, 4)), "labels": np.arange(2)}, "images are float64"),
        ({"images": np.zeros((2, 4, 4, 2), np.uint8), "labels": np.arange(2)}, "images are uint8"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.arange(3)}, "labels are int64"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros(2)}, "labels are float64"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros(2, int)}, "2 images of 1 identity"),
    ],
)
def test_npz_that_does_not_fit(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    write_npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words):
        Npz("a.npz").open(places(tmp_path))


class Exploit:
    """A payload that writes a marker file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.marker),))


def test_hostile_npz_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    write_npz(tmp_path / "a.npz", images=np.array([Exploit(marker)], object), labels=np.arange(1))
    with pytest.raises(DataError, match="Python objects"):
        Npz("a.npz").open(places(tmp_path))
    assert not marker.exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["images"]  # the payload is real
    assert marker.exists()
    marker.rmdir()
    for name in ("images.npy", "images"):  # a bare pickle in place of an array, and of the whole file
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr(name, pickle.dumps(Exploit(marker)))
        with pytest.raises(DataError):
            Npz("a.npz").open(places(tmp_path))
    (tmp_path / "a.npz").write_bytes(pickle.dumps(Exploit(marker)))
    with pytest.raises(DataError):
        Npz("a.npz").open(places(tmp_path))
    assert not marker.exists()


def test_npz_that_lies_about_its_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(50_000_000))
    with pytest.raises(DataError, match="far beyond its size"):
        Npz("a.npz").open(places(tmp_path))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 112, 112, 3)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"abc")
        archive.writestr("labels.npy", header.getvalue())
    with pytest.raises(DataError):
        Npz("a.npz").open(places(tmp_path))


def test_a_stated_shape_takes_no_memory_that_the_file_does_not_fill(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10_000_000,)}
    np.lib.format.write_array_header_1_0(header, shape)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"abc")
    survives(lambda file: safe_npz.load(file, ("images",)), path, [path.read_bytes()] * 2, factor=0)
    with pytest.raises(DataError, match="is damaged"):
        safe_npz.load(path, ("images",))


def test_damaged_npz_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, images=np.zeros((3, 4, 4), np.uint8), labels=np.arange(3))
    survives(
        lambda file: safe_npz.load(file, ("images", "labels")), path, mutations(path.read_bytes(), 300), 2000
    )


@pytest.mark.tensorflow
def test_keras_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    x, y = np.zeros((4, 32, 32, 3), np.uint8), np.array([[0], [1], [2], [9]])
    monkeypatch.setattr(tf.keras.datasets.cifar10, "load_data", lambda: ((x, y), (x[:2], y[:2])))
    images = KerasData("cifar10").open(places(tmp_path))
    np.testing.assert_array_equal(images.labels, [0, 1, 2, 9])
    assert images.names[3] == "truck/00003"
    assert len(KerasData("cifar10", subset="test").open(places(tmp_path)).labels) == 2

    def fails() -> Any:
        raise Exception("URL fetch failure on https://...: None -- timed out")

    monkeypatch.setattr(tf.keras.datasets.mnist, "load_data", fails)
    with pytest.raises(DataError, match="neither cached nor downloadable") as caught:
        KerasData("mnist").open(places(tmp_path))
    assert "\n" not in str(caught.value)
