"""MXNet's record files: against bytes put together by hand from the format's description."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from material import mutations, places, survives, write_faces

from workbench import ImageFolder, RecordIO, TFRecords
from workbench.data import convert
from workbench.data.sources import recordio
from workbench.data.sources.encoded import blame
from workbench.errors import DataError

MAGIC = b"\x0a\x23\xd7\xce"


def part(kind: int, content: bytes) -> bytes:
    """One part of a file, as the description has it."""
    length = len(content)
    return MAGIC + struct.pack("<I", kind * 2**29 + length) + content + b"\0" * ((4 - length % 4) % 4)


def header(flag: int, label: float, key: int, *labels: float) -> bytes:
    return struct.pack("<IfQQ", flag, label, key, 0) + struct.pack(f"<{len(labels)}f", *labels)


def by_hand(folder: Path, images: list[bytes], labels: list[int], ranges: bool = True) -> Path:
    """Write a face set by hand: record 0, images, one record a class."""
    classes = sorted(set(labels))
    end = 1 + len(images)
    rows = [header(2, 0, 0, end, end + len(classes)) if ranges else header(0, labels[0], 0) + images[0]]
    rows += [header(0, label, key) + image for key, (image, label) in enumerate(zip(images, labels), 1)]
    for label in classes:
        own = [key for key, other in enumerate(labels, 1) if other == label]
        rows.append(header(2, label, 0, own[0], own[-1] + 1))
    path, lines, at = folder / "train.rec", [], 0
    with open(path, "wb") as file:
        for key, row in enumerate(rows):
            lines.append(f"{key}\t{at}")
            at += file.write(part(0, row))
    path.with_suffix(".idx").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> list[bytes]:
    folder = write_faces(tmp_path / "faces", people=3, images=3)
    return [file.read_bytes() for file in sorted(folder.glob("*/*.png"))]


LABELS = [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_set_written_by_hand(tmp_path: Path, pictures: list[bytes]) -> None:
    by_hand(tmp_path, pictures, LABELS)
    stored = RecordIO("train.rec", identities=3, images=9).encoded(places(tmp_path))
    np.testing.assert_array_equal(stored.labels, LABELS)
    assert stored.identities == ("0", "1", "2")
    assert [stored.read(number) for number in range(9)] == pictures
    assert stored.names[4] == "record 5"


def test_broken_images_are_left_out_when_asked(tmp_path: Path, pictures: list[bytes]) -> None:
    damaged = [*pictures[:4], pictures[4][:-30], *pictures[5:7], b"no image at all", pictures[8]]
    by_hand(tmp_path, damaged, LABELS)
    assert len(RecordIO("train.rec").encoded(places(tmp_path)).labels) == 9
    for _ in range(2):  # looked for, then out of the cache
        stored = RecordIO("train.rec", broken="skip", images=7).encoded(places(tmp_path))
        np.testing.assert_array_equal(stored.labels, [0, 0, 0, 1, 1, 2, 2])
        assert [stored.read(k) for k in range(7)] == [p for k, p in enumerate(pictures) if k not in (4, 7)]
        assert stored.names[4] == "record 6"
        assert stored.notes[0] == "2 of 9 images are not whole, left out: record 5, record 8"
    by_hand(tmp_path, pictures, LABELS)
    assert RecordIO("train.rec", broken="skip", images=9).encoded(places(tmp_path)).notes == ()


def test_without_index_or_ranges(tmp_path: Path, pictures: list[bytes]) -> None:
    rows = b"".join(
        part(0, header(0, label, key) + i) for key, (label, i) in enumerate(zip(LABELS, pictures))
    )
    (tmp_path / "train.rec").write_bytes(rows)
    stored = RecordIO("train.rec").encoded(places(tmp_path))
    np.testing.assert_array_equal(stored.labels, LABELS)
    assert [stored.read(number) for number in range(9)] == pictures


def test_label_as_an_array(tmp_path: Path, pictures: list[bytes]) -> None:
    rows = b"".join(part(0, header(2, 0, 7, label, 99) + i) for label, i in zip(LABELS, pictures))
    (tmp_path / "train.rec").write_bytes(rows)
    stored = RecordIO("train.rec").encoded(places(tmp_path))
    np.testing.assert_array_equal(stored.labels, LABELS)
    assert stored.read(3) == pictures[3]


def test_record_in_several_parts(tmp_path: Path) -> None:
    # the magic number at bytes 24, 32 and 36 of the record: split there, left out, put back when read
    image = MAGIC + b"abcd" + MAGIC + MAGIC + b"xy" + MAGIC + b"z"
    record = header(0, 1, 5) + image
    pieces = part(1, record[:24]) + part(2, b"abcd") + part(2, b"") + part(3, b"xy" + MAGIC + b"z")
    assert recordio.frame(record) == pieces
    (tmp_path / "train.rec").write_bytes(
        part(0, header(0, 0, 4) + b"first") + pieces + part(0, header(0, 2, 6) + b"x")
    )
    stored = RecordIO("train.rec").encoded(places(tmp_path))
    assert [stored.read(number) for number in range(3)] == [b"first", image, b"x"]
    again = RecordIO("train.rec").encoded(places(tmp_path))  # from the cached index
    assert again.read(1) == image


@pytest.mark.parametrize("seed", range(20))
def test_frame_and_scan_are_inverse(tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    choices = [MAGIC, b"a", b"bcd", b"efgh"]
    records = [
        header(0, k, k) + b"".join(choices[c] for c in chance.integers(0, 4, 12)) + b"." for k in range(5)
    ]
    (tmp_path / "x.rec").write_bytes(b"".join(map(recordio.frame, records)))
    stored = RecordIO("x.rec").encoded(places(tmp_path))
    assert [stored.read(k) for k in range(5)] == [record[24:] for record in records]


def test_folder_to_records_and_back(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "faces")
    stored = ImageFolder("faces").encoded(places(tmp_path))
    assert convert.to_recordio(stored, tmp_path / "out" / "t.rec") == 20
    back = RecordIO("out/t.rec").encoded(places(tmp_path))
    assert list(back.names) == list(stored.names)
    assert back.identities == stored.identities
    convert.to_folder(back, tmp_path / "back")
    for file in folder.glob("*/*.png"):
        assert (tmp_path / "back" / file.relative_to(folder)).read_bytes() == file.read_bytes()
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["t.idx", "t.lst", "t.rec"]


def refused(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        RecordIO("train.rec").encoded(places(root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_index_of_another_file(tmp_path: Path, pictures: list[bytes]) -> None:
    path = by_hand(tmp_path, pictures, LABELS)
    index = path.with_suffix(".idx")
    lines = index.read_text().splitlines()
    index.write_text("\n".join([*lines[:3], "3\t12345", *lines[4:]]))
    assert "puts record 3 at byte 12345" in refused(tmp_path)
    index.write_text("\n".join(lines[:-2]))
    assert "names 11 records of 13" in refused(tmp_path)
    index.write_text("\n".join([*lines[:3], lines[2], *lines[4:]]))
    assert "train.idx" in refused(tmp_path)
    index.write_text("1\tx\n")
    assert "train.idx:1" in refused(tmp_path)
    index.write_bytes(b"\xff\xfe\0\1")
    assert "is not an index" in refused(tmp_path)


def test_class_ranges_that_do_not_fit(tmp_path: Path, pictures: list[bytes]) -> None:
    path = by_hand(tmp_path, pictures, LABELS)
    content = path.read_bytes()
    for begin, end, words in ((10, 99, "record 0 speaks of"), (0, 3, "record 0 speaks of"), (9, 13, "range")):
        path.write_bytes(part(0, header(2, 0, 0, begin, end)) + content[40:])
        assert words in refused(tmp_path)


def test_labels_with_holes_and_without_meaning(tmp_path: Path, pictures: list[bytes]) -> None:
    by_hand(tmp_path, pictures, [label * 5 for label in LABELS])
    stored = RecordIO("train.rec").encoded(places(tmp_path))
    np.testing.assert_array_equal(stored.labels, LABELS)
    assert "8 labels between 0 and 10 do not occur" in stored.notes[0]
    assert stored.identities == ("0", "5", "10")
    for label in (0.5, float("nan"), float("inf")):
        (tmp_path / "train.idx").unlink(missing_ok=True)
        (tmp_path / "train.rec").write_bytes(
            part(0, header(0, 1, 0) + b"x") + part(0, header(0, label, 1) + b"x")
        )
        assert "record 1 has no whole number" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"PK\3\4" + b"\0" * 40, "is not a RecordIO at byte 0"),
        (part(0, b"short"), "too short for a header"),
        (part(0, header(9, 0, 0) + b"abc"), "states 9 labels"),
        (part(2, header(0, 0, 0) + b"abc"), "is not a RecordIO at byte 0"),
        (part(1, header(0, 0, 0) + b"abc"), "ends in the middle of record 0"),
        (part(0, header(0, 0, 0)), "holds no image"),
        (part(0, header(0, 0, 0) + b"x") + part(0, header(0, 0, 1) + b"x"), "2 images of 1 identity"),
    ],
)
def test_files_that_are_no_records(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "train.rec").write_bytes(content)
    assert words in refused(tmp_path)


def test_cut_at_every_byte(tmp_path: Path) -> None:
    whole = b"".join(part(0, header(0, k, k) + b"image%d" % k) for k in range(4))
    borders = {len(whole) // 4 * k for k in range(2, 5)}  # whole records of at least two people
    for length in range(1, len(whole) + 1):
        (tmp_path / "train.rec").write_bytes(whole[:length])
        if {length, length + 1, length + 2} & borders:  # the last record lacks two bytes of padding at most
            assert len(RecordIO("train.rec").encoded(places(tmp_path)).labels) >= 2
        else:
            refused(tmp_path)


def test_file_that_shrinks_while_it_is_read(tmp_path: Path, pictures: list[bytes]) -> None:
    path = by_hand(tmp_path, pictures, LABELS)
    stored = RecordIO("train.rec").encoded(places(tmp_path))
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match="has become shorter"):
        stored.read(8)


def test_a_thousand_damaged_files(tmp_path: Path, pictures: list[bytes]) -> None:
    path = by_hand(tmp_path, [picture[:60] for picture in pictures], LABELS)
    damaged = mutations(path.read_bytes(), 1000)

    def read(file: Path) -> None:
        found = recordio.content(file, file.with_suffix(".idx"))
        assert (found.offsets >= 0).all()
        assert (found.offsets + found.lengths <= file.stat().st_size).all()

    assert survives(read, path, damaged)["refused"] > 300
    path.with_suffix(".idx").write_text("")
    survives(lambda file: recordio.content(file), path, damaged)
    path.write_bytes(by_hand(tmp_path, pictures, LABELS).read_bytes())
    index = path.with_suffix(".idx")
    survives(lambda file: recordio.content(path, file), index, mutations(index.read_bytes(), 300))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("RecordIO", "RecordIO(broken='skip') leaves it out"),
        ("TFRecords", "TFRecords(broken='skip') leaves it out"),
        ("ImageFolder", "ImageFolder(broken='skip', thorough=True) leaves it out"),
    ],
)
def test_what_is_advised_of_a_broken_image_is_of_its_own_source(
    tmp_path: Path, pictures: list[bytes], source: str, said: str
) -> None:
    cut = [*pictures[:4], pictures[4][:40] + pictures[4][-12:], *pictures[5:]]
    by_hand(tmp_path, cut, LABELS)
    stored = RecordIO("train.rec").encoded(places(tmp_path))
    if source == "TFRecords":
        convert.to_tfrecords(stored, tmp_path / "train.tfrecord")
        stored = TFRecords("train.tfrecord").encoded(places(tmp_path))
    if source == "ImageFolder":
        convert.to_folder(stored, tmp_path / "folder")
        stored = ImageFolder("folder").encoded(places(tmp_path))
    result = blame(stored, range(len(stored.labels)))
    assert result is not None and said in str(result)
    assert source == "ImageFolder" or "ImageFolder" not in str(result)
