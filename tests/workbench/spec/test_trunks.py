"""Branches in a spec: what they share, what is theirs, their names, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from specs import tiny

from workbench import ArcFace, CosFace, Cosine, Nadam, Softmax, Stage, Trunk
from workbench.errors import SpecError
from workbench.spec.branch import kept_epochs, same_until, trunk_of
from workbench.spec.datasets import default_places
from workbench.spec.part import from_json
from workbench.spec.quick import quick_variant
from workbench.spec.variant import Variant
from workbench.spec.variant_names import variant_names

OWN = Stage(loss=CosFace(), epochs=3)


def lengths(experiment: Any) -> list[int]:
    return [stage.epochs for stage in experiment.stages]


def test_a_branch_is_the_full_experiment_and_says_what_it_shares() -> None:
    trunk = tiny(name="t", seed=3)
    branch = trunk.branch(after_stage=2, stages=OWN, name="b")
    assert branch.stages == (*trunk.stages[:2], OWN)
    assert (branch.name, branch.seed, branch.trunk) == ("b", 3, Trunk(stages=2, name="t"))
    assert branch.id == tiny(stages=branch.stages).id  # how it is carried out is not part of what it is
    root = trunk_of(branch)
    assert root is not None
    assert (root.id, root.seed, root.name, root.trunk) == (tiny(stages=trunk.stages[:2]).id, 3, "t", None)
    assert trunk_of(trunk) is None


def test_an_epoch_within_a_stage_cuts_it_and_a_border_does_not() -> None:
    assert lengths(tiny().branch(at_epoch=4, stages=OWN)) == [2, 1, 1, 3]
    assert lengths(tiny().branch(at_epoch=1, stages=OWN)) == [1, 3]
    at_border, after = tiny().branch(at_epoch=3, stages=OWN), tiny().branch(after_stage=2, stages=OWN)
    assert at_border == after
    assert lengths(tiny().branch(at_epoch=5, stages=OWN)) == [2, 1, 2, 3]


def test_without_stages_the_trunk_goes_on_with_what_is_changed() -> None:
    stages = (
        Stage(loss=Softmax(), epochs=2),
        Stage(loss=ArcFace(), epochs=4, optimizer_state="reset", schedule_start=7),
        Stage(loss=ArcFace(), epochs=1, label_smoothing=0.2),
    )
    branch = tiny(stages=stages).branch(at_epoch=3, label_smoothing=0.1)
    assert lengths(branch) == [2, 1, 3, 1]
    rest = branch.stages[2]
    assert (rest.optimizer_state, rest.schedule_start, rest.label_smoothing) == ("keep", None, 0.1)
    assert branch.stages[1].label_smoothing != 0.1
    assert branch.stages[3].label_smoothing == 0.2  # a stage's own word is the last one
    assert [plan.schedule_offset for plan in branch.plans()] == [0, 7, 8, 11]
    whole = tiny(stages=8 * Stage(loss=ArcFace(), epochs=1)).branch(after_stage=3)
    assert whole.stages == tiny(stages=8 * Stage(loss=ArcFace(), epochs=1)).stages


def test_the_run_s_schedule_goes_on_in_a_branch() -> None:
    trunk = tiny(learning_rate=Cosine(peak=0.1, floor=1e-3, cycle=16))
    plans = trunk.branch(at_epoch=4, stages=OWN).plans()
    assert plans[-1].first_epoch == 5
    assert plans[-1].schedule_offset == 4
    assert trunk.branch(at_epoch=4, stages=OWN, learning_rate=0.5).plans()[-1].schedule_offset == 0


def test_a_branch_of_a_branch_has_two_trunks() -> None:
    first = tiny(name="t").branch(at_epoch=4, stages=Stage(loss=ArcFace(), epochs=10), name="f")
    second = first.branch(at_epoch=9, optimizer=Nadam())
    assert lengths(second) == [2, 1, 1, 5, 5]
    assert second.trunk == Trunk(stages=4, name="f", trunk=Trunk(stages=3, name="t"))
    root = trunk_of(second)
    assert root is not None
    assert root.trunk == first.trunk
    assert trunk_of(root) == trunk_of(first)
    early = first.branch(at_epoch=2, stages=OWN)
    assert early.trunk == Trunk(stages=1, name="t")  # a point before the first is on the first trunk
    same = first.branch(at_epoch=4, stages=OWN)
    assert same.trunk == first.trunk


def test_a_branch_survives_json_and_keeps_its_trunk_through_but_and_quick(project: Path) -> None:
    branch = tiny().branch(at_epoch=4, stages=OWN).branch(at_epoch=5)
    assert from_json(branch.to_json()) == branch
    changed = branch.but(label_smoothing=0.1, seed=4)
    assert changed.trunk == branch.trunk
    root, old = trunk_of(changed), trunk_of(branch)
    assert root is not None
    assert old is not None
    assert root.id != old.id
    small = quick_variant(Variant("b", branch), default_places(project)).experiment
    assert lengths(small) == [1, 1, 1, 1, 1]
    assert small.trunk == branch.trunk


def test_what_is_shared_is_found_by_settings_alone() -> None:
    trunk = tiny()
    root = trunk_of(trunk.branch(at_epoch=4, stages=OWN))
    assert root is not None
    assert same_until(trunk, 4, root)
    assert same_until(trunk.branch(at_epoch=5, stages=OWN), 4, root)
    assert not same_until(trunk.but(label_smoothing=0.1), 4, root)
    assert not same_until(trunk.but(**{"stages.1.loss": ArcFace()}), 4, root)
    assert not same_until(trunk.branch(at_epoch=3, stages=OWN), 4, root)
    assert not same_until(tiny(stages=trunk.stages[:2]), 4, root)


def test_a_run_keeps_the_states_that_branches_will_want() -> None:
    trunk = tiny()
    branch = trunk.branch(at_epoch=4, stages=OWN)
    others = [trunk, branch, branch.branch(at_epoch=6), trunk.but(seed=1).branch(at_epoch=1, stages=OWN)]
    assert kept_epochs(trunk, others) == (4,)
    assert kept_epochs(branch, others) == (6,)
    assert kept_epochs(trunk.but(seed=1), others) == (1,)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"stages": OWN}, "either after_stage= or at_epoch="),
        ({"after_stage": 1, "at_epoch": 1, "stages": OWN}, "either after_stage= or at_epoch="),
        (
            {"after_stage": 4, "stages": OWN},
            "after_stage=4 is not possible; expected a whole number from 1 to 3",
        ),
        ({"at_epoch": 0, "stages": OWN}, "expected a whole number from 1 to 5, the trunk's epochs"),
        ({"at_epoch": 1.5, "stages": OWN}, "at_epoch=1.5 is not possible"),
        ({"after_stage": 3}, "has no stage of its own; give stages="),
        ({"after_stage": 1, "stages": ()}, "has no stage of its own; give stages="),
        ({"after_stage": 1, "stages": [7]}, "7 is not possible; expected a Stage"),
        ({"after_stage": 1, "precision": "float32"}, "a setting of the whole run"),
        ({"after_stage": 1, "optimiser": Nadam()}, "did you mean 'optimizer'"),
    ],
)
def test_an_impossible_branch_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        tiny().branch(**asked)
    assert words in str(caught.value)


def test_a_stage_with_its_own_schedule_cannot_go_on_from_its_middle() -> None:
    trunk = tiny(stages=Stage(loss=ArcFace(), epochs=4, learning_rate=0.1))
    with pytest.raises(SpecError, match="own learning_rate would begin anew"):
        trunk.branch(at_epoch=2)
    assert lengths(trunk.branch(at_epoch=2, learning_rate=0.01)) == [2, 2]


def test_a_trunk_of_all_stages_is_refused() -> None:
    with pytest.raises(SpecError, match="3 of 3 stages are the trunk's"):
        tiny(trunk=Trunk(stages=3))
    with pytest.raises(SpecError, match="a trunk of 2 stages on one of 2"):
        Trunk(stages=2, trunk=Trunk(stages=2))


def test_branches_are_named_by_the_epoch_and_what_they_change() -> None:
    trunk = tiny()
    branch = trunk.branch(at_epoch=4, label_smoothing=0.1)
    found = variant_names(
        [
            trunk,
            branch,
            trunk.but(batch_size=8).branch(at_epoch=4, label_smoothing=0.1),
            trunk.but(name="wide").branch(after_stage=1, stages=Stage(loss=Softmax(), epochs=5)),
        ]
    )
    assert found == [
        "base",
        "@4,stages.4.label_smoothing=0.1",
        "batch_size=8@4,stages.4.label_smoothing=0.1",
        "wide@2,stages.2.epochs=5",
    ]
    alone = variant_names([branch, branch.but(**{"stages.4.label_smoothing": 0.2})])
    assert alone == ["base", "stages.4.label_smoothing=0.2"]
