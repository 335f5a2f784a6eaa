"""Folds: one experiment times the sets of a list, each without the people that it is tested on."""

from __future__ import annotations

from typing import Any

import pytest
from specs import tiny

from workbench import Experiment, HeldOutPairs, ImageFolder, Pairs, PeopleOf
from workbench.errors import SpecError
from workbench.spec.load import Variant, choose_variants
from workbench.spec.part import from_json


def recipe(**changes: Any) -> Experiment:
    whole = {"data": ImageFolder("lfw", min_images=2), "evaluate": Pairs("lfw/pairs.txt", name="lfw")}
    return tiny(**{**whole, **changes})


def test_each_fold_leaves_out_the_people_it_is_tested_on() -> None:
    base = recipe(name="base")
    folds = base.folds()
    assert [fold.name for fold in folds] == [f"base-{k}" for k in range(1, 11)]
    for number, fold in enumerate(folds, start=1):
        assert fold.sets == (Pairs("lfw/pairs.txt", name="lfw", sets=(number,)),)
        assert fold.data == ImageFolder("lfw", min_images=2, leave_out=PeopleOf(fold.sets[0]))
        assert fold.parameters()["fold"] == number
        assert fold.parameters()["fold.recipe"] == base.id
        assert from_json(fold.to_json()) == fold
    assert len({fold.id for fold in folds}) == 10
    assert "fold" not in base.parameters()


def test_the_fold_is_no_part_of_the_identity() -> None:
    fold = recipe().folds()[2]
    assert fold.but(fold=None).id == fold.id
    assert recipe(seed=1, name="other").folds()[2].id == fold.id


def test_what_was_left_out_stays_left_out_and_other_sets_stay() -> None:
    unseen = HeldOutPairs(identities=3)
    base = recipe(
        data=ImageFolder("lfw", leave_out=("A",)), evaluate=(Pairs("lfw/pairs.txt", name="lfw"), unseen)
    )
    fold = base.folds(3)[1]
    assert fold.data.leave_out == ("A", PeopleOf(fold.sets[0]))
    assert fold.sets[1] == unseen


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluate": Pairs("lfw.bin")},
        {"evaluate": ()},
        {"evaluate": Pairs("lfw/pairs.txt", sets=(1,))},
        {"evaluate": (Pairs("a.txt"), Pairs("b.txt"))},
    ],
)
def test_what_has_no_sets_has_no_folds(changes: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="folds"):
        recipe(**changes).folds()


def test_data_that_cannot_leave_people_out_is_refused() -> None:
    with pytest.raises(SpecError, match="cannot leave people out"):
        tiny(evaluate=Pairs("lfw/pairs.txt")).folds()


def test_the_name_of_an_experiment_means_its_folds() -> None:
    variants = [Variant(str(fold.name), fold) for fold in recipe(name="base").folds(3)]
    assert [variant.name for variant in choose_variants(variants, ["base"])] == ["base-1", "base-2", "base-3"]
    assert [variant.name for variant in choose_variants(variants, ["base-2"])] == ["base-2"]
