"""Pair files: the field's `.bin` in its forms, lists of files, and what is refused in one line."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.data import pair_files
from workbench.data.pairs import HeldOutPairs, Pairs
from workbench.errors import DataError, SpecError


def png(seed: int, size: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def write(folder: Path, images: object, flags: object, protocol: int = 4) -> Path:
    path = folder / "lfw.bin"
    path.write_bytes(pickle.dumps((images, flags), protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_bin_keeps_each_image_once(tmp_path: Path, protocol: int) -> None:
    a, b, c = png(0), png(1), png(2)
    found = pair_files.read_bin(write(tmp_path, [a, b, b, c, a, b], [True, False, np.True_], protocol))
    assert list(found.encoded) == [a, b, c]
    np.testing.assert_array_equal(found.first, [0, 1, 0])
    np.testing.assert_array_equal(found.second, [1, 2, 1])
    np.testing.assert_array_equal(found.same, [True, False, True])
    assert found.names == ["image 0", "image 1", "image 3"]


def test_a_bin_of_arrays(tmp_path: Path) -> None:
    color = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    grey = color[..., 0]
    images = [np.frombuffer(png(0), np.uint8), color, grey, color.transpose(2, 0, 1)]
    found = pair_files.read_bin(write(tmp_path, images, np.array([1, 0])))
    assert found.encoded[0] == png(0)
    np.testing.assert_array_equal(found.encoded[1], color)
    np.testing.assert_array_equal(found.encoded[2], np.repeat(grey[..., None], 3, 2))
    np.testing.assert_array_equal(found.second, [1, 1])  # channels first is the same picture
    stacked = pair_files.read_bin(write(tmp_path, np.stack([color, color + 1]), [False]))
    np.testing.assert_array_equal(stacked.encoded[1], color + 1)


@pytest.mark.parametrize(
    ("images", "flags", "message"),
    [
        ([b"a", b"b", b"c"], [True], "3 images; expected an even number"),
        ([b"a", b"b"], [True, False], "2 is-same flags for 2 images; expected 1 flags"),
        ([], [], "holds no images"),
        ([b"a", b"b"], [2], "flags other than true and false"),
        ([b"a", b"b"], ["yes"], "flags other than true and false"),
        ([b"a", b""], [True], "image 1: an empty image"),
        ([b"a", 3], [True], "image 1: a int"),
        ([b"a", np.zeros((4, 4, 3))], [True], r"image 1: an array of float64 \(4, 4, 3\)"),
        ("ab", [True], "holds no pairs"),
    ],
)
def test_a_wrong_bin_is_refused(tmp_path: Path, images: object, flags: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"lfw\.bin.*{message}"):
        pair_files.read_bin(write(tmp_path, images, flags))


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(DataError, match="holds no pairs"):
        pair_files.read_bin(path)


def listed(folder: Path, text: str, name: str = "list.csv") -> Path:
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(number))
    (folder / "copy.png").write_bytes(png(0))
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_with_subgroups(tmp_path: Path) -> None:
    text = "first,second,same,group\n0.png,1.png,1,young\n1.png,2.png,0,old\ncopy.png,2.png,no,old\n"
    found = pair_files.read_list(listed(tmp_path, text))
    np.testing.assert_array_equal(found.first, [0, 1, 0])  # a copy is the same image
    np.testing.assert_array_equal(found.second, [1, 2, 2])
    np.testing.assert_array_equal(found.same, [True, False, False])
    assert found.groups == ["young", "old", "old"]
    assert found.names == ["0.png", "1.png", "2.png"]
    tabbed = pair_files.read_list(listed(tmp_path, text.replace(",", "\t"), "list.tsv"))
    assert tabbed.fingerprint == found.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("first,second,same\n0.png,9.png,1\n", r"list\.csv:2: names '9\.png', which is not in"),
        ("first,second,same\n0.png,1.png,1\n0.png,,1\n", r"list\.csv:3: names ''"),
        ("first,second,same\n0.png,1.png,maybe\n", r"list\.csv:2: same is 'maybe'; expected 1 or 0"),
        ("first,secnd,same\n0.png,1.png,1\n", "no column 'second'.*did you mean 'secnd'"),
        ("first,second,same\n", "holds no pairs"),
        ("", "holds no pairs"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pair_files.read_list(listed(tmp_path, text))


def test_the_name_of_a_set() -> None:
    assert Pairs("faces/cfp_fp.bin").label() == "cfp_fp"
    assert Pairs("lfw.bin", name="lfw_a").label() == "lfw_a"
    with pytest.raises(SpecError, match="name 'my set'"):
        Pairs("my set.bin")
    with pytest.raises(SpecError, match="says not who is held out"):
        HeldOutPairs()
    with pytest.raises(SpecError, match="at least two different names"):
        HeldOutPairs(identities=("a", "a"))
