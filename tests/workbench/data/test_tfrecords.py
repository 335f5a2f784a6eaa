"""TFRecord files: round trips, teachers in both precisions, and damage of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from material import mutations, places, survives, write_faces, write_small_tfrecord

from workbench import ImageFolder, TFRecords
from workbench.data import convert
from workbench.data.sources import tfrecords
from workbench.errors import DataError

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "data" / "faces", people=3, images=3, side=12).parent


@pytest.mark.parametrize("kind", [None, np.float16, np.float32])
def test_round_trip(root: Path, kind: type | None) -> None:
    stored = ImageFolder("faces").encoded(places(root))
    vectors = None if kind is None else np.random.default_rng(0).standard_normal((9, 5)).astype(kind)
    assert convert.to_tfrecords(stored, root / "t.tfrecord", vectors) == 9
    back = TFRecords("t.tfrecord", teacher=None if kind is None else 5).encoded(places(root))
    np.testing.assert_array_equal(back.labels, stored.labels)
    assert back.identities == stored.identities
    assert list(back.names) == list(stored.names)
    assert [back.read(k) for k in range(9)] == [stored.read(k) for k in range(9)]
    if vectors is None:
        assert back.teacher is None
        return
    np.testing.assert_array_equal(back.teacher(np.array([4, 0])), vectors[[4, 0]].astype(np.float32))
    assert back.teacher_size == 5


def test_read_by_tensorflow_itself(root: Path) -> None:
    import tensorflow as tf

    convert.to_tfrecords(
        ImageFolder("faces").encoded(places(root)), root / "t.tfrecord", np.ones((9, 2), np.float32)
    )
    form = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "embedding": tf.io.FixedLenFeature([2], tf.float32),
    }
    rows = [
        tf.io.parse_single_example(row, form) for row in tf.data.TFRecordDataset(str(root / "t.tfrecord"))
    ]
    assert [int(row["label"]) for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert tf.io.decode_png(rows[0]["image"]).shape == (12, 12, 3)


def test_foreign_names_of_features(root: Path) -> None:
    rows = [(k // 2 * 3, f"p{k // 2}", f"{k}", b"image%d" % k, None) for k in range(4)]
    tfrecords.write(root / "x.tfrecord", rows, tfrecords.Keys(image="image/encoded", label="image/source_id"))
    stored = TFRecords("x.tfrecord", image_key="image/encoded", label_key="image/source_id").encoded(
        places(root)
    )
    np.testing.assert_array_equal(stored.labels, [0, 0, 1, 1])
    assert stored.read(3) == b"image3"
    assert "do not occur" in stored.notes[0]
    with pytest.raises(DataError, match="has no feature 'image'"):
        TFRecords("x.tfrecord").encoded(places(root))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "holds no records"),
        ([(0, "a", "", b"", None)], "holds no image with a label"),
        ([(0, "a", "", b"x", None), (0, "b", "", b"x", None)], "calls label 0 'b'"),
        ([(0, "a", "", b"x", None), (1, "b", "", b"x", np.ones(2, np.float32))], "in some records only"),
        (
            [(0, "a", "", b"x", np.ones(3, np.float16)), (1, "b", "", b"x", np.ones(2, np.float16))],
            "different sizes",
        ),
        ([(0, "a", "", b"x", None), (0, "a", "", b"x", None)], "2 images of 1 identity"),
        ([(2**40, "a", "", b"x", None)], "has the label"),
    ],
)
def test_content_that_does_not_fit(root: Path, rows: list, words: str) -> None:  # type: ignore[type-arg]
    tfrecords.write(root / "x.tfrecord", rows)
    with pytest.raises(DataError) as caught:
        TFRecords("x.tfrecord").encoded(places(root))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_stated_sizes(root: Path) -> None:
    convert.to_tfrecords(ImageFolder("faces").encoded(places(root)), root / "t.tfrecord")
    for settings in ({"identities": 4}, {"images": 8}, {"teacher": 512}):
        with pytest.raises(DataError, match="as stated"):
            TFRecords("t.tfrecord", **settings).encoded(places(root))


def test_damaged_files(root: Path) -> None:
    """Mutations and cuts; tests/acceptance/test_damaged_tfrecords.py makes a thousand."""
    path = root / "x.tfrecord"
    whole = write_small_tfrecord(path)
    counts = survives(
        lambda file: tfrecords.content(file, tfrecords.Keys()), path, mutations(whole, 120), 2000
    )
    assert counts["refused"] > 108  # a change may fall on nothing; checksums find all others
    cut = [whole[:length] for length in range(1, len(whole))]
    borders = len(whole) // 4
    assert (
        survives(lambda file: tfrecords.content(file, tfrecords.Keys()), path, cut[: borders - 1 : 5], 2000)[
            "read"
        ]
        == 0
    )


def test_broken_images_are_left_out_when_asked(root: Path) -> None:
    images = [file.read_bytes() for file in sorted((root / "faces").glob("*/*.png"))][:4]
    images[2] = images[2][:-30]
    path = root / "part.tfrecord"
    tfrecords.write(
        path, [(k // 2, f"p{k // 2}", f"{k}", i, np.full(3, k, np.float16)) for k, i in enumerate(images)]
    )
    stored = TFRecords("part.tfrecord", broken="skip", teacher=3).encoded(places(root))
    np.testing.assert_array_equal(stored.labels, [0, 0, 1])
    assert [stored.read(k) for k in range(3)] == [images[k] for k in (0, 1, 3)]
    assert stored.teacher is not None
    np.testing.assert_array_equal(stored.teacher(np.arange(3))[:, 0], [0, 1, 3])
    assert list(stored.names) == ["0", "1", "3"]
    assert "1 of 4 images are not whole, left out: 2" in stored.notes[0]
