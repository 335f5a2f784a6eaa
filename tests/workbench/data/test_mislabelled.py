"""Wrong labels on purpose: how many, which, and that they are found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from material import places, write_faces

from workbench import ImageFolder, Mislabelled, Pairs, PeopleOf
from workbench.commands.clean import found_again
from workbench.errors import DataError, SpecError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_faces(tmp_path / "faces", people=5, images=8)
    return tmp_path


def test_a_share_of_labels_is_another_identitys(root: Path) -> None:
    true = ImageFolder("faces").open(places(root))
    found = Mislabelled(ImageFolder("faces"), share=0.25).open(places(root))
    assert found.mislabelled is not None and len(found.mislabelled) == 10
    assert np.array_equal(np.flatnonzero(found.labels != true.labels), found.mislabelled)
    assert found.identities == true.identities and list(found.names) == list(true.names)
    own = (found.labels == true.labels) & True
    assert set(true.labels[own]) == set(range(5))
    assert found.fingerprint != true.fingerprint
    again = Mislabelled(ImageFolder("faces"), share=0.25).open(places(root))
    assert np.array_equal(again.labels, found.labels)
    other = Mislabelled(ImageFolder("faces"), share=0.25, seed=1).open(places(root))
    assert not np.array_equal(other.labels, found.labels)


def test_every_identity_keeps_an_image_of_its_own(root: Path) -> None:
    found = Mislabelled(ImageFolder("faces"), share=35 / 40).open(places(root))
    true = ImageFolder("faces").open(places(root)).labels
    assert np.bincount(true[found.labels == true]).tolist() == [1] * 5
    with pytest.raises(DataError, match="at most 35"):
        Mislabelled(ImageFolder("faces"), share=0.95).open(places(root))


def test_a_hold_out_share_is_refused_and_people_can_be_left_out() -> None:
    with pytest.raises(SpecError, match="hold-out"):
        Mislabelled(ImageFolder("faces", hold_out=0.1))
    pairs = Pairs("pairs.txt", sets=(1,))
    left = Mislabelled(ImageFolder("faces")).without(pairs)
    assert left.source == ImageFolder("faces", leave_out=PeopleOf(pairs))


def test_precision_and_recall_are_said() -> None:
    said = found_again(np.array([1, 2, 3, 9]), np.array([2, 3, 4, 5, 9, 10]))
    assert "of 6" in said and "3 are dropped: recall 0.500" in said and "precision 0.750 of 4" in said
    assert "none dropped" in found_again(np.array([], int), np.array([1]))
