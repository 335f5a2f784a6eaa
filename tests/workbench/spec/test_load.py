"""Spec files: loading, names of variants, overrides and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from specs import tiny

from workbench import ArcFace, Cosine, SyntheticFaces
from workbench.errors import SpecError
from workbench.spec.datasets import default_places
from workbench.spec.load import choose_variants, load_variants
from workbench.spec.overrides import override_settings, parse_value, setting_origins
from workbench.spec.quick import quick_variant
from workbench.spec.variant_names import variant_names

SPEC = '''"""Is it so?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
experiments = [tiny(), tiny(label_smoothing=0.1), tiny(name="wide", **{{"batch_size": 8}})]
'''


@pytest.fixture
def spec(project: Path, root: Path) -> Path:
    path = project / "experiments" / "study.py"
    path.write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    return path


def test_variants_are_named_by_name_or_by_their_difference_from_the_first(spec: Path) -> None:
    variants = load_variants(spec)
    assert [v.name for v in variants] == ["base", "label_smoothing=0.1", "wide"]
    assert {v.study for v in variants} == {"study"}
    assert variants[0].question == "Is it so?"


def test_a_name_does_not_change_because_a_variant_was_added() -> None:
    few = variant_names([tiny(), tiny(label_smoothing=0.1)])
    many = variant_names([tiny(), tiny(label_smoothing=0.1), tiny(label_smoothing=0.2), tiny(batch_size=8)])
    assert many[:2] == few


def test_two_variants_of_one_name_are_refused() -> None:
    with pytest.raises(SpecError, match="two variants named 'x'"):
        variant_names([tiny(name="x"), tiny(name="x", batch_size=8)])


def test_unknown_variant_gets_near_matches(spec: Path) -> None:
    with pytest.raises(SpecError, match="did you mean 'wide'"):
        choose_variants(load_variants(spec), ["wied"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("experiment = 3", "3 is not an Experiment"),
        ("x = 1", "holds no experiment"),
        ("experiments = []", "holds no experiment"),
        ("import nothing_of_this_name", "line 1: raised ModuleNotFoundError"),
        ("a = 1\nb = 1 / 0", "line 2: raised ZeroDivisionError"),
        ("a = (", "line 1: is not valid Python"),
        ("from workbench import ArcFase", "no part 'ArcFase'; did you mean 'ArcFace'"),
        ("from workbench import ArcFace\nArcFace(scal=3)", "line 2: ArcFace: no setting 'scal'"),
    ],
)
def test_a_broken_spec_file_is_one_line_with_its_place(project: Path, text: str, words: str) -> None:
    path = project / "experiments" / "broken.py"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_variants(path)
    assert words in str(caught.value)
    assert "broken.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_spec_file_names_the_nearest(spec: Path) -> None:
    with pytest.raises(SpecError, match="did you mean"):
        load_variants(spec.with_name("studdy.py"))


def test_overrides_are_typed_and_recorded_with_their_origin(spec: Path) -> None:
    variant = override_settings(
        load_variants(spec)[0], ["weight_decay=1e-3", "stages.1.loss=ArcFace(scale=8)", "embedding.dropout=0"]
    )
    experiment = variant.experiment
    assert experiment.weight_decay.value == 1e-3  # type: ignore[union-attr]
    assert experiment.stages[0].loss == ArcFace(scale=8)
    origins = setting_origins(variant)
    assert origins["weight_decay"] == "--set weight_decay=1e-3"
    assert origins["stages.1.loss.scale"].startswith("--set")
    assert origins["batch_size"] == "spec"
    assert origins["precision"] == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weight_decya=1", "did you mean 'weight_decay'"),
        ("batch_size=many", "expected a whole number"),
        ("stages.9.epochs=1", "a number from 1 to 3"),
        ("batch_size", "expected setting=value"),
    ],
)
def test_a_wrong_override_is_refused(spec: Path, text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        override_settings(load_variants(spec)[0], [text])


def test_values_on_the_command_line_are_numbers_parts_or_text() -> None:
    assert parse_value("1e-3") == 1e-3
    assert parse_value("None") is None
    assert parse_value("(1, 2)") == (1, 2)
    assert parse_value("-2") == -2
    assert parse_value("Cosine(peak=0.1, floor=1e-3, cycle=4)") == Cosine(peak=0.1, floor=1e-3, cycle=4)
    assert parse_value("float32") == "float32"


def test_quick_is_small_and_marked(spec: Path, project: Path) -> None:
    variant = quick_variant(load_variants(spec)[0], default_places(project))
    assert variant.quick
    assert all(stage.epochs == 1 for stage in variant.experiment.stages)
    assert variant.experiment.batch_size <= 16
    assert isinstance(variant.experiment.data, SyntheticFaces)
    assert "--quick" in variant.overrides.values()
