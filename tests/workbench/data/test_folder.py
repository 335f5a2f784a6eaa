"""Folders of images: what is read, what is refused and in which words, and when the index is made anew."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from material import places, write_faces

from workbench import ImageFolder
from workbench.data.sources import folder_index
from workbench.errors import DataError, SpecError
from workbench.spec.interfaces import Images


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "data" / "faces").parent


def opened(root: Path, **settings: object) -> Images:
    return ImageFolder("faces", **settings).open(places(root))  # type: ignore[arg-type]


def refused(root: Path, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        opened(root, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_labels_names_and_identities(root: Path) -> None:
    images = opened(root, identities=4, images=20)
    assert images.identities == tuple(f"person {k}" for k in range(4))
    np.testing.assert_array_equal(images.labels, np.repeat(np.arange(4), 5))
    assert images.labels.dtype == np.int32
    assert images.names[7] == "person 1/02.png"
    assert images.names[-1] == "person 3/04.png"
    assert len(images.names) == 20


def test_choosing_people_and_images(root: Path) -> None:
    assert opened(root, first=2).identities == ("person 0", "person 1")
    assert opened(root, only=("person 3", "person 1")).identities == ("person 1", "person 3")
    assert opened(root, leave_out=("person 0",)).identities == ("person 1", "person 2", "person 3")
    (root / "faces" / "person 2" / "04.png").unlink()
    assert opened(root, min_images=5).identities == ("person 0", "person 1", "person 3")
    few = opened(root, max_images=2)
    assert list(few.names)[:3] == ["person 0/00.png", "person 0/01.png", "person 1/00.png"]
    assert len(few.labels) == 8


def test_lists_of_images(root: Path) -> None:
    (root / "use.txt").write_text("# of the clean-up\nperson 0/01.png\nperson 0/03.png\n\nperson 2/00.png\n")
    included = opened(root, include="use.txt")
    assert list(included.names) == ["person 0/01.png", "person 0/03.png", "person 2/00.png"]
    np.testing.assert_array_equal(included.labels, [0, 0, 1])
    assert len(opened(root, exclude="use.txt").labels) == 17
    (root / "faces" / "person 0").rename(root / "faces" / "# 0")  # a name is meant, whatever it begins with
    (root / "use.txt").write_text("# of the clean-up\n# 0/01.png\nperson 2/00.png\n")
    assert list(opened(root, include="use.txt").names) == ["# 0/01.png", "person 2/00.png"]
    (root / "faces" / "# 0").rename(root / "faces" / "person 0")
    (root / "use.txt").write_text("person 0/01.png\nperson 9/01.png\n")
    assert "use.txt:2" in refused(root, include="use.txt")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"identities": 5}, "4 identities; expected 5 as stated"),
        ({"images": 21}, "20 images; expected 21 as stated"),
        ({"only": ("person 11",)}, "did you mean"),
        ({"first": 9}, "first=9"),
        ({"only": ("person 1",)}, "at least two sub-folders"),
        ({"include": "nowhere.txt"}, "'nowhere.txt' is not there"),
    ],
)
def test_settings_that_do_not_fit(root: Path, settings: dict[str, object], words: str) -> None:
    assert words in refused(root, **settings)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "data" / "face").mkdir(parents=True)
    words = refused(tmp_path / "data")
    assert "is not there" in words
    assert "did you mean 'face'?" in words
    (tmp_path / "data" / "faces").mkdir()
    assert "0 images of 0 identities" in refused(tmp_path / "data")
    (tmp_path / "data" / "faces" / "only one").mkdir()
    assert "no image in only one" in refused(tmp_path / "data")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "faces").write_text("")
    assert "is a file; expected a folder" in refused(tmp_path / "other")


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_truncated_image_is_named(tmp_path: Path, ending: str) -> None:
    folder = write_faces(tmp_path / "data" / "faces", ending=ending)
    victim = folder / "person 2" / f"03.{ending}"
    victim.write_bytes(victim.read_bytes()[:-40])
    words = refused(folder.parent)
    assert f"person 2/03.{ending} is cut short or damaged" in words
    assert "broken='skip'" in words
    skipped = opened(folder.parent, broken="skip")
    assert len(skipped.labels) == 19
    assert "1 broken images skipped" in skipped.notes[0]


def test_bytes_behind_the_end_do_no_harm(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "data" / "faces", ending="jpg")
    victim = folder / "person 1" / "00.jpg"
    victim.write_bytes(victim.read_bytes() + b"camera notes")
    assert len(opened(folder.parent).labels) == 20


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("05.jpg", b"", "is empty"),
        ("05.jpg", b"just text", "is not an image"),
        ("05.webp", b"RIFF", "is a .webp file"),
    ],
)
def test_files_that_are_no_images(root: Path, name: str, content: bytes, words: str) -> None:
    (root / "faces" / "person 0" / name).write_bytes(content)
    assert f"person 0/{name} {words}" in refused(root)
    assert len(opened(root, broken="skip").labels) == 20


def test_hidden_files_and_strays(root: Path) -> None:
    (root / "faces" / ".cache").mkdir()
    (root / "faces" / "readme.txt").write_text("hello")
    (root / "faces" / "person 0" / ".DS_Store").write_bytes(b"x")
    (root / "faces" / "person 0" / "notes.txt").write_text("hello")
    images = opened(root)
    assert len(images.labels) == 20
    assert images.notes == ("person 0/notes.txt: no images by name, passed over",)


def test_identity_without_images(root: Path) -> None:
    (root / "faces" / "person 9").mkdir()
    assert "no image in person 9" in refused(root)
    assert len(opened(root, broken="skip").identities) == 4


@pytest.mark.parametrize(
    "twin", ["Person 0", "person_0", "person  0", unicodedata.normalize("NFD", "Zoë") + "|" + "Zoë"]
)
def test_two_spellings_of_one_identity(root: Path, twin: str) -> None:
    for name in twin.split("|"):
        write_faces(root / "more", people=1)
        (root / "more" / "person 0").rename(root / "faces" / name)
    assert "two spellings of one identity" in refused(root)


def test_spaces_and_other_alphabets(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "my data" / "faces", people=2)
    (folder / "person 0").rename(folder / "山田 太郎")
    (folder / "person 1").rename(folder / "Åsa Öberg")
    (folder / "Åsa Öberg" / "00.png").rename(folder / "Åsa Öberg" / "фото 1.png")
    images = opened(folder.parent)
    assert images.identities == ("Åsa Öberg", "山田 太郎")
    assert "Åsa Öberg/фото 1.png" in list(images.names)


def aged(root: Path) -> None:
    """Make every folder look as if nobody had changed it for a minute."""
    for folder in (root / "faces", *(root / "faces").iterdir()):
        os.utime(folder, (time.time() - 60, time.time() - 60))


def test_index_comes_from_the_cache_until_a_folder_changes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = []
    true_scan = folder_index.scan
    monkeypatch.setattr(folder_index, "scan", lambda *a, **k: scans.append(1) or true_scan(*a, **k))
    aged(root)
    first = opened(root)
    again = opened(root)
    assert len(scans) == 1
    assert list(first.names) == list(again.names)
    assert first.fingerprint == again.fingerprint
    (root / "faces" / "person 0" / "00.png").unlink()
    assert len(opened(root).labels) == 19
    assert len(scans) == 2
    opened(root)
    assert len(scans) == 3  # changed a moment ago: not trusted yet
    aged(root)
    opened(root)
    opened(root)
    assert len(scans) == 4


def test_damaged_cache_is_made_anew(root: Path) -> None:
    aged(root)
    names = list(opened(root).names)
    (file,) = (root / ".cache").glob("*.index")
    content = file.read_bytes()
    for damaged in (
        b"",
        content[:50],
        content[:-1],
        content[:200] + b"\0" + content[201:],
        b"\x80\x04K\x01.",
    ):
        file.write_bytes(damaged)
        assert list(opened(root).names) == names


def test_recheck_sees_a_file_overwritten_in_place(root: Path) -> None:
    aged(root)
    opened(root)
    victim = root / "faces" / "person 0" / "00.png"
    with open(victim, "r+b") as file:
        file.truncate(50)
    opened(root)  # no folder has changed, so nothing is seen
    assert "person 0/00.png" in refused(root, recheck=True)


def test_fingerprint_follows_the_content(root: Path) -> None:
    before, exact = opened(root).fingerprint, opened(root, exact=True).fingerprint
    assert opened(root, recheck=True).fingerprint == before
    victim = root / "faces" / "person 3" / "04.png"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    assert opened(root, recheck=True).fingerprint != before
    assert opened(root, recheck=True, exact=True).fingerprint != exact
    assert opened(root, first=2).fingerprint != before


def test_unwritable_cache_costs_time_only(root: Path, tmp_path: Path) -> None:
    from workbench.spec.interfaces import Places

    (tmp_path / "file").write_text("")
    images = ImageFolder("faces").open(Places((root,), tmp_path / "file" / "cache"))
    assert len(images.labels) == 20


def test_index_is_small_and_holds_many(tmp_path: Path) -> None:
    count = 100_000
    names = np.frombuffer(b"".join(b"%06d.jpg" % k for k in range(count)), np.uint8)
    made = folder_index.Index(
        "root",
        tuple(f"{k:05d}" for k in range(1000)),
        np.repeat(np.arange(1000, dtype=np.int32), 100),
        names,
        np.arange(count + 1, dtype=np.int64) * 10,
        np.full(count, 5000),
        {},
        (),
    )
    size = sum(getattr(made, name).nbytes for name in ("labels", "names", "offsets", "sizes"))
    assert size / count < 60
    half = made.subset(np.arange(1, count, 2))
    assert half.file(10) == b"000021.jpg"
    assert folder_index.Names(made)[99_999] == "00999/099999.jpg"


def test_stated_sizes_are_checked_as_settings() -> None:
    with pytest.raises(SpecError, match="of at least 2"):
        ImageFolder("faces", identities=1)
    with pytest.raises(SpecError, match="refuse"):
        ImageFolder("faces", broken="ignore")
