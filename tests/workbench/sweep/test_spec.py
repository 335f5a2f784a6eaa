"""Sweeps as values: what is refused before the first trial, and what a trial's settings make of the base."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from workbench import (
    MLP,
    SGD,
    Adam,
    BayesianOptimization,
    Boolean,
    Choice,
    Digits,
    Experiment,
    F,
    Float,
    GridSearch,
    Hyperband,
    ImageFolder,
    Int,
    RandomSearch,
    Softmax,
    Stage,
    Sweep,
)
from workbench.errors import RecordError, SpecError
from workbench.files import write_json
from workbench.spec.load import load_variants
from workbench.spec.part import from_json, to_json
from workbench.spec.to_source import spec_text
from workbench.spec.variant import Variant
from workbench.sweep.keras_space import base_values, domains_of, extra_parameters
from workbench.sweep.load_sweeps import variants_or_bases
from workbench.sweep.search import refuse_secrets
from workbench.sweep.search_space import grid, lattice
from workbench.sweep.spec import changes
from workbench.tracking import sweeps
from workbench.tracking.store import find_store


def base(**settings: Any) -> Experiment:
    given: dict[str, Any] = {
        "data": Digits(hold_out=0.2),
        "backbone": MLP(image_size=8, units=(32,)),
        "embedding": F(size=16),
        "stages": Stage(loss=Softmax(), epochs=6),
        "optimizer": SGD(momentum=0.9),
        "learning_rate": 0.05,
        "batch_size": 64,
    }
    return Experiment(**{**given, **settings})


def sweep(**settings: Any) -> Sweep:
    given: dict[str, Any] = {
        "base": base(),
        "space": {"weight_decay": Choice(0, 1e-4), "label_smoothing": Choice(0, 0.1)},
        "tuner": GridSearch(),
        "objective": "val_accuracy",
    }
    return Sweep(**{**given, **settings})


REFUSED = [
    ({"space": {}}, "nothing to search"),
    ({"space": {"weight_decya": Choice(1e-4, 1e-3)}}, "did you mean 'weight_decay'?"),
    ({"space": {"embedding.dropuot": Choice(0, 0.4)}}, "did you mean 'dropout'?"),
    ({"space": {"label_smoothing": Choice(0, 1.5)}}, "expected a value below 1"),
    ({"space": {"label_smoothing": Float(0, 1.0)}}, "expected a value below 1"),
    ({"space": {"label_smoothing": 0.1}}, "expected Choice, Int, Float or Boolean"),
    ({"space": {"stages.1.epochs": Choice(1, 2.5)}}, "expected a whole number"),
    ({"space": {"stages.2.epochs": Choice(1, 2)}}, "expected a number from 1 to 1"),
    ({"space": {"seed": Choice(0, 1)}}, "executions="),
    (
        {"space": {"optimizer": Choice(SGD(), Adam()), "optimizer.momentum": Choice(0, 0.9)}},
        ".when('optimizer'",
    ),
    (
        {"space": {"optimizer.momentum": Choice(0, 0.9).when("optimizer", SGD())}},
        "put the other setting first",
    ),
    (
        {
            "space": {
                "label_smoothing": Choice(0, 0.1),
                "embedding.dropout": Choice(0, 0.4).when("label_smoothing", 0.2),
            }
        },
        "label_smoothing=0.2",
    ),
    ({"objective": "val_acuracy"}, "did you mean 'val_accuracy'"),
    ({"objective": "val_accuracy", "base": base(data=Digits())}, "no run of it records 'val_accuracy'"),
    ({"tuner": Hyperband(max_epochs=50)}, "more than the 6 epochs"),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_searched_is_refused_in_one_line(settings: dict[str, Any], words: str):
    with pytest.raises(SpecError) as caught:
        sweep(**settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Choice(), "no value"),
        (lambda: Choice(1, 2, 1), "1 twice"),
        (lambda: Float(0.1, 0.01), "an empty range"),
        (lambda: Float(0, 0.01, sampling="log"), "starts above 0"),
        (lambda: Int(1, 8, 1, sampling="log"), "a factor above 1"),
        (lambda: Int(1, 8, 9), "wider than the range"),
        (lambda: Float(0, float("inf")), "not a finite number"),
        (lambda: Hyperband(max_epochs=0), "at least 1"),
        (lambda: Hyperband(max_epochs=9, factor=1), "of at least 2"),
        (lambda: RandomSearch(max_trails=3), "did you mean 'max_trials'?"),
    ],
)
def test_values_and_tuners_refuse_what_makes_no_sense(make: Any, words: str):
    with pytest.raises(SpecError, match=words):
        make()


def test_a_trial_changes_its_settings_and_nothing_else():
    own = sweep(space={"weight_decay": Choice(None, 1e-4), "backbone.units.1": Int(16, 64, 16)})
    off, on = own.domains["weight_decay"].candidates()
    assert (off, on) == ("off", "0.0001")  # None beside a number travels as text
    changed = own.experiment({"weight_decay": on, "backbone.units.1": 48})
    assert set(changed.diff(own.base)) == {"weight_decay", "backbone.units"} | {
        f"weight_decay.{name}" for name in ("form", "head", "norms", "biases", "head_l2")
    }
    assert changed.parameters()["backbone.units"] == "48"
    assert changed.parameters()["weight_decay"] == 1e-4
    assert own.experiment({"weight_decay": off, "backbone.units.1": 32}).id == own.base.id


def test_settings_that_need_each_other_are_put_in_whatever_their_order():
    from workbench import L2, SGDW, Decoupled

    own = sweep(
        base=base(weight_decay=L2(1e-4)),
        space={"optimizer": Choice(SGD(), SGDW()), "weight_decay": Choice(Decoupled(1e-4), Decoupled(1e-3))},
    )
    optimizer, decay = (domain.candidates()[1] for domain in own.domains.values())
    assert own.experiment({"optimizer": optimizer, "weight_decay": decay}).optimizer == SGDW()


def test_conditional_settings_are_in_the_trials_that_fulfil_their_condition():
    own = sweep(
        space={
            "optimizer": Choice(SGD(), Adam()),
            "optimizer.momentum": Choice(0, 0.9).when("optimizer", SGD()),
            "optimizer.nesterov": Boolean().when("optimizer.momentum", 0.9),
        }
    )
    found = list(grid({name: lattice(domain) or () for name, domain in own.space}, own.space))
    sgd, adam = own.domains["optimizer"].candidates()
    assert found == [
        {"optimizer": sgd, "optimizer.momentum": 0.0},
        {"optimizer": sgd, "optimizer.momentum": 0.9, "optimizer.nesterov": False},
        {"optimizer": sgd, "optimizer.momentum": 0.9, "optimizer.nesterov": True},
        {"optimizer": adam},
    ]
    assert own.combinations == 4


def test_the_number_of_combinations_is_that_of_a_product():
    own = sweep(space={"batch_size": Int(16, 64, 16), "label_smoothing": Float(0, 0.3, 0.1)})
    assert own.combinations == len(list(itertools.product(range(4), range(4))))
    assert lattice(Int(1, 16, 2, sampling="log")) == (1, 2, 4, 8, 16)
    assert sweep(space={"learning_rate": Float(1e-3, 1)}).combinations is None
    many = {f"embedding.{name}": Float(0.1, 0.9, 0.001) for name in ("dropout", "norm_momentum")}
    wide = sweep(space={**many, "batch_size": Int(16, 256), "learning_rate": Float(0.1, 1, 0.001)})
    assert wide.combinations == 801 * 801 * 241 * 901


def test_hyperband_is_planned_as_it_is_run():
    # Li et al., Table 1 in the form of Keras Tuner: brackets 2, 1, 0 of 10 epochs and factor 3
    trials, epochs = Hyperband(max_epochs=10, factor=3).planned(10, None)
    sizes = {2: (12, 4, 2), 1: (6, 2), 0: (4,)}
    lengths = {2: (2, 4, 10), 1: (4, 10), 0: (10,)}
    by_hand = sum(
        size * (length - before)
        for number, own in sizes.items()
        for size, length, before in zip(own, lengths[number], (0, *lengths[number]))
    )
    assert (trials, epochs) == (sum(map(sum, sizes.values())), by_hand)
    assert Hyperband(max_epochs=10, factor=3).planned(10, 4)[0] < trials  # a small space runs out
    assert BayesianOptimization(max_trials=30).planned(6, 8) == (8, 48)


def test_domains_for_the_records_are_those_of_the_parameters():
    own = sweep(
        space={
            "weight_decay": Choice(None, 1e-4),
            "learning_rate": Float(1e-3, 1e-1, sampling="log"),
            "backbone.units.1": Int(16, 48, 16),
        }
    )
    found = domains_of(own)
    assert found["weight_decay"] == {"values": [1e-4]}
    assert found["backbone.units.1"] == {"values": [16, 32, 48]}
    assert found["learning_rate"] == {"values": ["Constant"]}
    assert found["learning_rate.rate"] == {"min": 1e-3, "max": 1e-1}
    settings = {"backbone.units.1": 48}
    assert extra_parameters(own, settings, own.experiment(settings)) == settings


def test_a_sweep_survives_json_and_says_what_changed():
    one = sweep()
    assert from_json(to_json(one)) == one
    other = sweep(
        space={"weight_decay": Choice(0, 1e-3), "embedding.dropout": Choice(0, 0.4)}, base=base(batch_size=32)
    )
    said = changes(to_json(one), to_json(other))
    assert any("weight_decay" in text and "0.001" in text for text in said)
    assert "'label_smoothing' is gone from the space" in said
    assert "'embedding.dropout' is new in the space" in said
    assert "base.batch_size was 64 and is 32" in said
    assert changes(to_json(one), to_json(one)) == []
    assert one.id != other.id


def test_the_best_settings_become_a_spec_file_that_loads_as_the_same_experiment(tmp_path: Path):
    from workbench import ArcFace, Center, Cosine, Flip, HeldOutPairs, SyntheticFaces

    rich = base(
        data=SyntheticFaces(identities=8),
        backbone=MLP(image_size=8, units=(32, 16)),
        augment=(Flip(),),
        stages=(
            Stage(loss=Softmax(), epochs=1),
            Stage(loss=ArcFace(scale=16) + 0.1 * Center(), epochs=2, augment=None),
        ),
        evaluate=HeldOutPairs(identities=2, name="unseen"),
        weight_decay=5e-4,
        learning_rate=Cosine(peak=0.1, floor=1e-3, cycle=3),
    )
    for experiment in (base(), rich):
        path = tmp_path / "best.py"
        path.write_text(spec_text(Variant("best", experiment, question="Is it?")))
        (loaded,) = load_variants(path)
        assert loaded.experiment.id == experiment.id
        assert loaded.question == "Is it?"
        assert max(map(len, path.read_text().splitlines())) <= 110


def test_a_file_of_sweeps_alone_is_checked_by_their_bases(tmp_path: Path):
    path = tmp_path / "alone.py"
    made = spec_text(Variant("base", base())) + "from workbench import Choice, GridSearch, Sweep\n"
    made = made.replace("experiment = ", "base = ")
    searched = (
        "sweep = Sweep(base=base, space={'batch_size': Choice(8, 16)}, tuner=GridSearch(), name='sizes')\n"
    )
    path.write_text(made + searched)
    assert [variant.name for variant in variants_or_bases(path)] == ["sizes"]
    path.write_text(made + searched + "experiment = base\n")
    assert [variant.name for variant in variants_or_bases(path)] == ["base"]
    path.write_text(made)
    with pytest.raises(SpecError, match="holds no experiment"):
        variants_or_bases(path)


def test_the_bases_own_value_is_known_of_each_setting_that_has_it_in_its_domain():
    space = {
        "learning_rate": Float(1e-3, 0.3, sampling="log"),  # a plain number, which became a schedule
        "backbone.units.1": Int(16, 64, 16),
        "batch_size": Int(8, 512),
        "optimizer": Choice(SGD(momentum=0.9), Adam()),
        "weight_decay": Choice(None, 1e-4),
        "label_smoothing": Choice(0.05, 0.1),  # without the base's 0
        "stages.1.learning_rate": Choice(0.05, 0.1),  # the base's stage inherits
    }
    found = base_values(sweep(space=space))
    assert found == {
        "learning_rate": 0.05,
        "backbone.units.1": 32,
        "batch_size": 64,
        "weight_decay": "off",
        "optimizer": "SGD(momentum=0.9)",
    }


def test_a_state_is_replaced_as_a_whole_and_a_damaged_one_is_named(project: Path):
    store = find_store()
    place = sweeps.folder(store, "20260101T000000Z-00000000")
    write_json(place / sweeps.FACTS, {"name": "one", "study": "s", "objective": "loss", "lower": True})
    request = sweeps.TrialRequest({"a": 1}, ("r",), 3, "0000")
    rows = [
        {"id": f"000{n}", "status": "COMPLETED", "score": score, "values": {sweeps.REQUEST: request.text()}}
        for n, score in enumerate([0.5, 0.2, 0.2])
    ]
    write_json(place / sweeps.STATE, {"trials": rows})
    found = sweeps.require(store, "one")
    assert found.best().id == "0001"  # type: ignore[union-attr]
    assert sweeps.find(store, "s/one") == found == sweeps.find(store, "20260101T000000Z-0")
    with pytest.raises(RecordError, match="did you mean 'one'"):
        sweeps.require(store, "onne")
    (place / sweeps.STATE).write_text('{"trials": [{"id"')
    with pytest.raises(RecordError, match="cannot be read"):
        sweeps.read(store, "20260101T000000Z-00000000")


def test_a_space_that_holds_a_secret_is_refused_without_repeating_it():
    folders = Choice(ImageFolder("https://me:hunter2x@data.example.org/faces"), ImageFolder("faces"))
    with pytest.raises(SpecError, match="holds a secret among its values") as refused:
        refuse_secrets(sweep(space={"weight_decay": Choice(0, 1e-4), "data": folders}))
    assert "space['data']" in str(refused.value)
    assert "hunter2x" not in str(refused.value)
    refuse_secrets(sweep())
