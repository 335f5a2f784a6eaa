"""The studies of `experiments/`: what every spec says and keeps to."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

import pytest

from workbench.spec.experiment import Experiment
from workbench.spec.load import load_module, load_variants

ROOT = Path(__file__).resolve().parents[2]
SPECS = {path.stem: path for path in sorted((ROOT / "experiments").glob("*.py"))}
LONGEST = 120


@functools.cache
def variants(study: str) -> dict[str, Experiment]:
    """Return the experiments of a study by name, none of a file that holds sweeps alone."""
    module = load_module(SPECS[study])
    if not hasattr(module, "experiment") and not hasattr(module, "experiments"):
        assert hasattr(module, "sweep") or hasattr(module, "sweeps")
        return {}
    return {variant.name: variant.experiment for variant in load_variants(SPECS[study])}


@pytest.mark.parametrize("study", SPECS)
def test_a_spec_says_what_it_asks_costs_and_expects(study: str):
    text = SPECS[study].read_text(encoding="utf-8")
    question, *rest = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert question.endswith("?")
    assert "Cost:" in " ".join(rest)
    assert any(word in " ".join(rest) for word in ("Expected:", "Found:", "network .8922", "reached")), (
        "what is expected, or was found"
    )
    assert len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("study", SPECS)
def test_variants_differ_and_a_variant_is_one_difference(study: str):
    ids = [experiment.id for experiment in variants(study).values()]
    assert len(set(ids)) == len(ids)
    chained = [
        node.lineno
        for node in ast.walk(ast.parse(SPECS[study].read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _is_but(node.func) and _calls_but(node.func.value)
    ]
    assert chained == [], "but().but(): a variant is one difference from a named experiment"


def _is_but(node: Any) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "but"


def _calls_but(node: Any) -> bool:
    return isinstance(node, ast.Call) and _is_but(node.func)


def test_botnets_peaks_halve_from_the_third_stage_on():
    base = variants("botnet50_ms1m")["relu"]
    starts = [plan.schedule.at(plan.schedule_offset) for plan in base.plans()]
    assert starts == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125], rel=1e-3)  # half the way above the floor


def test_branches_leave_their_trunk_where_the_notebook_did():
    own = {
        name: e.epochs - e.plans()[e.trunk.stages].first_epoch + 1
        for name, e in variants("mobilefacenet_epoch44").items()
    }
    assert own == {
        "scale32-fixed": 10,
        "scale32-decay": 10,
        "scale64-sgd": 10,
        "scale64-nadam": 10,
        "from54-nadam": 10,
        "from54-adam": 10,
    }
    trunk = variants("mobilenet_emore_bs256")["softmax-center"]
    assert trunk.epochs == 80
    branches = [e for e in variants("mobilenet_emore_bs256").values() if e.trunk]
    assert len(branches) == 7
    assert all(e.stages[:9] == trunk.stages for e in branches)
