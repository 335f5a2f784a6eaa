"""Parts: typo-proof, checked, exact in JSON, and changed only into new values."""

from __future__ import annotations

import dataclasses
from typing import Literal, Union

import pytest
from specs import tiny

from workbench import ArcFace, Constant, Decoupled, Softmax, Stage, Triplet
from workbench.errors import SpecError
from workbench.spec.interfaces import Loss
from workbench.spec.optimization import Schedule
from workbench.spec.part import Part, coerce, from_json, part, replace, setting, to_json, walk
from workbench.spec.to_source import source


@part
class Knob(Part):
    """A part for these tests."""

    strength: float = setting(1.0, above=0, at_most=10, doc="strength")
    count: int = setting(3, at_least=1)
    mode: Literal["fast", "slow"] = setting("fast")
    rate: Union[Schedule, None] = setting(None)
    sizes: tuple[int, ...] = setting((1, 2))
    folder: str = setting("here", place=True)
    extra: float = setting(0.5, later=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strenght": 2}, "did you mean 'strength'"),
        ({"strength": 0}, "expected a value above 0"),
        ({"strength": 11}, "expected a value of at most 10"),
        ({"strength": float("nan")}, "not a finite number"),
        ({"strength": True}, "expected a number"),
        ({"count": 2.5}, "expected a whole number"),
        ({"mode": "fats"}, "did you mean 'fast'"),
        ({"rate": "high"}, "expected Schedule or a number or None (off)"),
        ({"sizes": 3}, "expected a tuple of a whole number"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line_that_names_it(settings: dict, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        Knob(**settings)
    assert words in str(caught.value)
    assert next(iter(settings)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_are_kept_in_one_type_whatever_was_written() -> None:
    knob = Knob(strength=2, sizes=[4, 5], rate=0.1)
    assert isinstance(knob.strength, float)
    assert knob.sizes == (4, 5)
    assert knob.rate == Constant(0.1)


def test_a_part_is_frozen_and_positional_values_are_refused() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Knob().strength = 3.0  # type: ignore[misc]
    with pytest.raises(SpecError, match="positional arguments"):
        Knob(3.0)  # type: ignore[misc]


def test_the_constructor_tells_every_setting_with_its_unit_and_default() -> None:
    said = str(ArcFace.__init__.__doc__)
    assert "    margin: m, added to the angle, radians (default: 0.5)." in said
    assert all(f"    {field.name}: " in said for field in dataclasses.fields(ArcFace))  # type: ignore[arg-type]
    assert "    epochs: epochs of the stage.\n" in str(Stage.__init__.__doc__)  # it has no default


def test_json_there_and_back_is_exact() -> None:
    knob = Knob(strength=0.1, rate=0.3, mode="slow")
    assert from_json(to_json(knob)) == knob


def test_identity_leaves_out_places_and_later_settings_at_their_default() -> None:
    assert to_json(Knob(folder="there"), identity=True) == to_json(Knob(), identity=True)
    assert "extra" not in to_json(Knob(), identity=True)
    assert to_json(Knob(extra=0.7), identity=True)["extra"] == 0.7


def test_a_dotted_path_reaches_into_parts_and_tuples() -> None:
    loss = ArcFace(scale=16)
    assert replace(loss, "scale", 32).scale == 32
    knob = Knob(rate=0.1)
    assert replace(knob, "rate.rate", 0.2).rate == Constant(0.2)
    assert replace(knob, "sizes.2", 7).sizes == (1, 7)
    with pytest.raises(SpecError, match="a number from 1 to 2"):
        replace(knob, "sizes.3", 7)


def test_walk_names_every_part_by_its_path() -> None:
    assert dict(walk(Knob(rate=0.1))).keys() == {"", "rate"}


def test_a_number_stands_for_the_plain_part_of_a_family() -> None:
    from workbench.spec.optimization import WeightDecay

    assert coerce(5e-4, WeightDecay, "x") == Decoupled(5e-4)


def test_an_unknown_part_in_json_is_refused_with_near_matches() -> None:
    with pytest.raises(SpecError, match="did you mean 'ArcFace'"):
        from_json({"part": "ArcFase"})


def test_losses_add_and_scale_into_a_weighted_sum() -> None:
    @part
    class Pull(Loss):
        """A term without a head."""

        term = "pull_loss"

        def layer(self, classes, size, batch_size, teacher=None):
            raise NotImplementedError

    total = ArcFace() + 64 * Pull()
    assert [(type(t.loss).__name__, t.weight) for t in total.terms] == [("ArcFace", 1.0), ("Pull", 64.0)]  # type: ignore[attr-defined]
    assert (2 * total).terms[1].weight == 128  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match="two losses with a classification head"):
        ArcFace() + Softmax()


def test_two_terms_of_one_kind_need_a_name() -> None:
    with pytest.raises(SpecError, match=r"two terms named triplet_embedding_loss.*Triplet\(\)\.named"):
        ArcFace() + Triplet() + Triplet(mining="all")
    total = ArcFace() + 5 * Triplet() + 2 * Triplet(mining="all").named("mean")
    assert [t.term for t in total.terms] == ["arcface_loss", "triplet_embedding_loss", "mean_loss"]  # type: ignore[attr-defined]
    assert (3 * total).terms[2].weight == 6  # type: ignore[attr-defined]
    assert from_json(to_json(total)) == total
    assert "name" not in to_json((ArcFace() + 5 * Triplet()), identity=True)["terms"][1]
    spec = tiny(stages=Stage(loss=total, epochs=1)).parameters()
    assert spec["stages.1.loss.mean.mining"] == "all"
    assert spec["stages.1.loss.triplet.mining"] == "hard"
    for name in ("regular", "two words", ""):
        with pytest.raises(SpecError, match="named: .* is not possible"):
            Triplet().named(name)
    assert "Triplet().named('mean')".replace("'", '"') in source(ArcFace() + Triplet().named("mean"), 1)
