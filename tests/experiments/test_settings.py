"""Every setting that the notebook's pages and file names state is the spec's: one table a study, one test for all."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import stated
from workbench.spec.experiment import Experiment
from workbench.spec.load import load_module, load_variants
from workbench.sweep.spec import Sweep

ROOT = Path(__file__).resolve().parents[2]
SPECS = {path.stem: path for path in sorted((ROOT / "experiments").glob("*.py"))}
OURS = ("digits_", "fine_tuning_orl", "lfw_", "orl_faces", "quickstart")  # on data that no page trains on
STUDIES = sorted(study for study in SPECS if not study.startswith(OURS))


@functools.cache
def sweeps(study: str) -> dict[str, Sweep]:
    module = load_module(SPECS[study])
    return {sweep.name or study: sweep for sweep in getattr(module, "sweeps", [])}


@functools.cache
def variants(study: str) -> dict[str, Experiment]:
    """Return the experiments of a study by name; of sweeps what they start from."""
    bases = {name: sweep.base for name, sweep in sweeps(study).items()}
    return bases or {variant.name: variant.experiment for variant in load_variants(SPECS[study])}


@functools.cache
def settings(study: str, name: str) -> dict[str, Any]:
    found = stated.effective(variants(study)[name])
    return found | (stated.of_sweep(sweeps(study)[name]) if name in sweeps(study) else {})


def rows(study: str) -> list[tuple[str, str, str, str]]:
    """Return (variant, setting, value, place), file names taken apart."""
    found = []
    for row in stated.read(study):
        names = list(variants(study)) if row.variant == "*" else [row.variant]
        pairs = [(row.setting, row.value)]
        if row.setting in ("file", "ours"):
            pairs = stated.in_name(row.value) if row.setting == "file" else []
        found += [(name, setting, value, row.place) for name in names for setting, value in pairs]
    return found


def test_every_study_of_the_notebook_has_its_table():
    assert sorted(path.stem for path in stated.SETTINGS.glob("*.csv")) == STUDIES


@pytest.mark.parametrize("study", STUDIES)
def test_the_spec_has_what_the_pages_state(study: str):
    wrong = []
    for name, setting, value, place in rows(study):
        experiment, known = variants(study)[name], settings(study, name)
        try:
            right = stated.holds(experiment, known, setting, value)
        except KeyError:
            right = False
        if not right:
            wrong.append(f"{name}: {setting} is {known.get(setting)!r}, {place} has {value}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("study", STUDIES)
def test_every_variant_is_of_a_page_or_says_why_it_is_there(study: str):
    named = {row.variant for row in stated.read(study)}
    assert named - {"*"} <= set(variants(study))
    assert "*" in named or named == set(variants(study))


# whose file names give batch normalisation, all or the first of a row of abbreviated ones; digits and the like have none
NAMED = (
    "baseline_ms1m",
    "botnet50_ms1m",
    "ghostnet_ms1m",
    "resnet101v2_ms1m",
    "resnet34_casia",
    "resnet34_casia_recipes",
)


@pytest.mark.parametrize("study", [study for study in STUDIES if study not in NAMED])
def test_batch_normalisation_is_keras_own_where_nothing_is_said_of_it(study: str):
    """The author's networks have Keras's momentum of .99 unless a call or a name of a file gives another."""
    said = {name for name, setting, *_ in rows(study) if setting.endswith("norm_momentum")}
    for name, experiment in variants(study).items():
        if name not in said:
            parts = [*stated.parts_of(experiment.backbone), *stated.parts_of(experiment.embedding)]
            found = {(type(part).__name__, getattr(part, "norm_momentum", None)) for part in parts}
            assert {momentum for _, momentum in found} <= {None, 0.99}, (name, found)


def test_every_row_names_its_place(real_data: Path):
    pages = Path(os.environ.get("WORKBENCH_TEST_NOTEBOOK") or real_data.parent / "notebook")
    if not pages.is_dir():
        pytest.skip(f"no notebook in {pages}")
    texts = {path.name: path.read_text(encoding="utf-8").splitlines() for path in pages.glob("*.txt")}
    for study in STUDIES:
        for row in stated.read(study):
            if row.setting == "ours":
                continue
            lines = texts[row.page]
            assert row.line is not None
            assert row.line <= len(lines)
            if row.setting == "file":
                assert row.value in lines[row.line - 1], f"{study}: {row.place}"


def test_the_names_of_files_are_read():
    name = "TT_mobilenet_swish_E_emb512_arc_dr04_l2_5e4_bs512_emore_sgd_scale_true_bias_false_cos16_batch_random_0_lrmin_1e4"
    found = dict(stated.in_name(name))
    assert found["embedding.dropout"] == "0.4"
    assert found["weight_decay"] == "0.0005"
    assert (found["learning_rate.cycle"], found["learning_rate.per"], found["learning_rate.floor"]) == (
        "16",
        "batch",
        "0.0001",
    )
    assert found["random"] == "0"
    assert dict(stated.in_name("NNNN_resnet34_MXNET_E_REG_BN_SGD_l2_5e4_lr1e1_random0_arc_S32")) | {} == {
        "embedding": "E",
        "weight_decay": "0.0005",
        "weight_decay.form": "L2",
        "weight_decay.norms": "true",
        "optimizer": "SGD",
        "rate.1": "0.1",
        "random": "0",
    }
