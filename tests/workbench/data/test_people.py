"""People of an evaluation set left out of training, refused in it, and drawn with equal chances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from material import places, write_faces

from workbench import HeldOutPairs, ImageFolder, Pairs, PeopleOf
from workbench.data import lfw_pairs, pair_sampling
from workbench.errors import DataError, SpecError
from workbench.verification.pair_sets import open_pairs


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """Six people of four images under LFW's names, and a list of two sets of one pair of each kind."""
    folder = write_faces(tmp_path / "faces", people=6, images=4)
    for person, name in enumerate("ABCDEF"):
        (folder / f"person {person}").rename(folder / name)
        for number in range(4):
            (folder / name / f"{number:02d}.png").rename(folder / name / f"{name}_{number + 1:04d}.png")
    lines = ["2\t1", "A\t1\t2", "A\t1\tB\t3", "", "C\t3\t1", "C\t1\tD\t3"]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def listed(**settings: object) -> Pairs:
    return Pairs("pairs.txt", folder="faces", **settings)


def test_a_set_is_its_own_pairs(lfw: Path) -> None:
    first, second = (listed(sets=(k,)).open(places(lfw), ImageFolder("faces")) for k in (1, 2))
    assert first.same.tolist() == second.same.tolist() == [True, False]
    assert sorted(first.names) == ["A/A_0001", "A/A_0002", "B/B_0003"]
    assert set(second.identities or ()) == {"C", "D"}
    assert first.fingerprint != second.fingerprint
    both = listed(sets=(2, 1)).open(places(lfw), ImageFolder("faces"))
    assert both.fingerprint == listed().open(places(lfw), ImageFolder("faces")).fingerprint


def test_a_set_that_is_not_there_is_refused(lfw: Path) -> None:
    with pytest.raises(DataError, match="no set 3.*1 to 2"):
        listed(sets=(3,)).open(places(lfw), ImageFolder("faces"))
    with pytest.raises(SpecError, match="sets"):
        Pairs("lfw.bin", sets=(1,))


def test_a_line_at_fault_after_an_empty_one_is_named(lfw: Path) -> None:
    path = lfw / "pairs.txt"
    path.write_text(path.read_text().replace("C\t3\t1", "C\t3\t9"))
    with pytest.raises(DataError, match=r"pairs\.txt:5: names C/C_0009"):
        lfw_pairs.read(path, lfw / "faces")


def test_people_of_a_set_are_left_out_or_used_alone(lfw: Path) -> None:
    people = PeopleOf(listed(sets=(1,)))
    assert ImageFolder("faces", leave_out=people).open(places(lfw)).identities == ("C", "D", "E", "F")
    assert ImageFolder("faces", leave_out=(people, "E")).open(places(lfw)).identities == ("C", "D", "F")
    assert ImageFolder("faces", only=people).open(places(lfw)).identities == ("A", "B")
    with pytest.raises(DataError, match="no sub-folder 'G'"):
        ImageFolder("faces", leave_out=(people, "G")).open(places(lfw))


def test_a_missing_list_makes_the_source_missing(lfw: Path) -> None:
    source = ImageFolder("faces", leave_out=PeopleOf(Pairs("gone.txt")))
    assert "gone.txt" in str(source.missing(places(lfw)))
    assert ImageFolder("faces", leave_out=PeopleOf(listed())).missing(places(lfw)) is None


def test_sets_that_name_nobody_are_refused(lfw: Path) -> None:
    (lfw / "flat.csv").write_text("first,second,same\n1.png,2.png,1\n")
    for pairs in (Pairs("flat.csv"), HeldOutPairs(identities=2)):
        with pytest.raises(SpecError, match="names no people"):
            PeopleOf(pairs).names(places(lfw))
    (lfw / "list.csv").write_text("first,second,same\nA/A_0001.png,B/B_0001.png,0\n")
    assert PeopleOf(Pairs("list.csv", folder="faces")).names(places(lfw)) == {"A", "B"}
    assert PeopleOf(HeldOutPairs(ImageFolder("faces", only=("E", "F")))).names(places(lfw)) == {"E", "F"}


@pytest.mark.parametrize("overlap", ["refuse", "warn"])
def test_a_person_in_training_and_in_test_is_a_stranger(lfw: Path, overlap: str) -> None:
    found = listed(sets=(1,), overlap=overlap).open(places(lfw), ImageFolder("faces"))
    assert found.strangers == ({"A", "B"} if overlap == "refuse" else frozenset())
    assert bool(found.notes) == (overlap == "warn")


def test_people_are_drawn_with_equal_chances() -> None:
    labels = np.repeat([0, 1, 2, 3], [60, 2, 3, 4])  # 1770, 1, 3 and 6 genuine pairs
    counts = np.zeros(4)
    for seed in range(200):
        drawn = pair_sampling.balanced(labels, 8, seed, by_label=True)
        genuine = labels[drawn.first[drawn.same]]
        assert np.array_equal(genuine, labels[drawn.second[drawn.same]])
        counts += np.bincount(genuine, minlength=4)
    assert counts.tolist() == [200, 200, 200, 200]  # four pairs of four people: one each
    assert (
        pair_sampling.balanced(labels, 8, 0).first.tolist()
        == pair_sampling.balanced(labels, 8, 0).first.tolist()
    )
    several = pair_sampling.balanced(labels, 22, 1, by_label=True)
    taken = np.bincount(labels[several.first[several.same]], minlength=4)
    assert taken.sum() == 11 and taken[1] == 1 and taken[2] == 3 and taken[0] + taken[3] == 7
    assert abs(int(taken[0]) - int(taken[3])) <= 1


def test_a_list_is_verified_like_any_other(lfw: Path) -> None:
    found = open_pairs(lfw / "pairs.txt", folder=lfw / "faces")
    assert found.same.tolist() == [True, False, True, False]
    with pytest.raises(DataError, match=r"\.txt"):
        open_pairs(lfw / "none.txt")
