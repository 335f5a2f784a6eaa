"""A person in training and in test: refused before the first batch, wherever the images come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from material import places, write_faces
from specs import tiny

from workbench import HeldOutPairs, ImageFolder, Mislabelled, Pairs, PeopleOf, Softmax, Stage
from workbench.errors import DataError
from workbench.train.run_data import RunData

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    write_faces(tmp_path / "faces", people=6, images=4)
    lines = ["first,second,same", "person 0/00.png,person 0/01.png,1", "person 0/00.png,person 1/00.png,0"]
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def opened(root: Path, **changes: Any) -> RunData:
    settings = {"data": ImageFolder("faces"), "evaluate": Pairs("pairs.csv", folder="faces"), "batch_size": 4}
    return RunData(tiny(**{**settings, **changes}), places(root))


def test_people_in_training_and_in_test_are_refused(faces: Path) -> None:
    with pytest.raises(DataError, match=r"'pairs'.*2 identities.*person 0, person 1.*PeopleOf"):
        opened(faces)


def test_the_data_of_every_stage_is_looked_at(faces: Path) -> None:
    apart = ImageFolder("faces", leave_out=PeopleOf(Pairs("pairs.csv")))
    stages = (Stage(loss=Softmax(), epochs=1), Stage(loss=Softmax(), epochs=1, data=ImageFolder("faces")))
    assert opened(faces, data=apart).classes(tiny(data=apart).plans()[0]) == 4
    with pytest.raises(DataError, match="2 identities"):
        opened(faces, data=apart, stages=stages)


def test_whoever_knows_better_says_so_and_people_held_out_of_training_are_no_strangers(faces: Path) -> None:
    warned = opened(faces, evaluate=Pairs("pairs.csv", folder="faces", overlap="warn"))
    assert any("2 identities" in note for note in warned.notes)
    assert opened(faces, evaluate=HeldOutPairs(identities=3, pairs=20)).notes == []


def test_people_held_out_are_drawn_with_right_labels_and_stay_out_under_wrong_ones(faces: Path) -> None:
    pairs = HeldOutPairs(identities=3, pairs=20)
    right = opened(faces, evaluate=pairs)
    source = Mislabelled(ImageFolder("faces"), share=0.5)
    wrong = opened(faces, evaluate=pairs, data=source)
    assert wrong.evaluators[0].fingerprint == right.evaluators[0].fingerprint
    split = wrong.splits[source]
    names = [split.images.names[number].partition("/")[0] for number in split.train]
    assert not set(names) & wrong.held_out
    labels = split.images.labels[split.train]
    said = np.array([split.images.identities[label] for label in labels])
    assert split.images.mislabelled is not None
    assert set(split.train[said != names]) == set(split.images.mislabelled)
