"""Links that lead in a circle, into nowhere or up again: passed over or told, and never a traceback or a hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench.data.sources.folder import ImageFolder
from workbench.data.sources.folder_index import scan
from workbench.errors import DataError
from workbench.security.foreign_files import is_below
from workbench.security.foreign_names import within
from workbench.spec.interfaces import Places


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    from PIL import Image

    for person in ("a", "b"):
        (tmp_path / "faces" / person).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "faces" / person / f"{number}.png")
    return tmp_path / "faces"


def test_people_that_are_circles_or_nowhere_are_passed_over_and_told(faces: Path) -> None:
    (faces / "circle").symlink_to(faces / "circle")
    (faces / "one").symlink_to(faces / "two")
    (faces / "two").symlink_to(faces / "one")
    (faces / "nowhere").symlink_to(faces / "gone")
    index, _ = scan(str(faces))
    assert index.identities == ("a", "b") and len(index) == 4
    assert index.strays == ("circle", "nowhere", "one", "two")
    found = ImageFolder("faces").open(Places((faces.parent,)))
    assert len(found.labels) == 4 and any("circle" in note for note in found.notes)


def test_images_that_are_circles_are_no_images(faces: Path) -> None:
    (faces / "a" / "circle.png").symlink_to(faces / "a" / "circle.png")
    os.mkfifo(faces / "a" / "pipe.png")
    index, _ = scan(str(faces))
    assert len(index) == 4 and index.strays == ("a/circle.png", "a/pipe.png")


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_person_that_leads_up_again_ends(faces: Path, target: str) -> None:
    (faces / "loop").symlink_to(target, target_is_directory=True)
    with pytest.raises(DataError, match="no image in loop"):
        ImageFolder("faces").open(Places((faces.parent,)))


def test_a_folder_that_is_a_circle_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(DataError, match="is not there"):
        ImageFolder("circle").open(Places((tmp_path,)))
    from workbench.verification.pair_sets import people

    with pytest.raises(DataError):
        people(tmp_path / "circle")


def test_a_circle_on_the_way_is_a_path_like_others(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert within(tmp_path, "circle/x", where="list").name == "x"
    assert is_below(tmp_path / "circle" / "x", tmp_path)


@pytest.mark.parametrize("header", ["²\t3", "9" * 5000, "1\t" + "9" * 30, "٣\t٣"])
def test_a_number_of_a_list_is_plain_digits(tmp_path: Path, header: str) -> None:
    from workbench.data.lfw_pairs import parse

    path = tmp_path / "pairs.txt"
    path.write_text(f"{header}\na\t1\t2\n")
    with pytest.raises(DataError):
        parse(path)
    path.write_text("1\na\t²\t1\na\t1\tb\t2\n")
    with pytest.raises(DataError):
        parse(path)
