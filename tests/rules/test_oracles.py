"""Every loss, head, optimizer and schedule is held against something that does not share its code.

The table says for each part where its oracle stands: a function of plain NumPy, or a test that holds the formula
itself. A new part needs a row here, so it cannot come without one.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from source import ROOT

import workbench

FAMILIES = ("workbench.losses.", "workbench.models.heads.", "workbench.optimizers")
PAPERS, METRIC = "losses/papers.py", "losses/test_metric.py"
RULES, SCHEDULES, HEADS = (
    "optimizers/oracles.py",
    "optimizers/test_schedules.py",
    "models/heads/test_heads.py",
)
UPDATES = "optimizers/test_updates.py"

# part: (file under tests/workbench, function there that holds its formula)
ORACLES = {
    "Softmax": (PAPERS, "softmax"),
    "MarginSoftmax": (PAPERS, "margin_softmax"),
    "ScaledSoftmax": (PAPERS, "combined_margin"),
    "ArcFace": (PAPERS, "arcface"),
    "CosFace": (PAPERS, "combined_margin"),
    "SphereFace": (PAPERS, "sphereface"),
    "CombinedMargin": (PAPERS, "combined_margin"),
    "AirFace": (PAPERS, "airface"),
    "CurricularFace": (PAPERS, "curricularface"),
    "MagFace": (PAPERS, "magface"),
    "AdaFace": (PAPERS, "adaface"),
    "AdaCos": (PAPERS, "adacos_scale"),
    "Center": (PAPERS, "center"),
    "Triplet": (PAPERS, "triplet_semi_hard"),
    "DistillEmbedding": (METRIC, "test_embedding_distillation_is_the_distance_of_unit_vectors"),
    "DistillLogits": (PAPERS, "distill_logits"),
    "Dense": (HEADS, "test_full_heads_are_their_formulas"),
    "Normalised": (HEADS, "test_full_heads_are_their_formulas"),
    "SubCenter": (HEADS, "test_full_heads_are_their_formulas"),
    "Euclidean": (HEADS, "test_full_heads_are_their_formulas"),
    "Sampled": (HEADS, "test_logits_are_the_cosines_of_its_columns"),
    "SGD": (RULES, "sgd"),
    "SGDW": (RULES, "sgd"),
    "Adam": (RULES, "adam"),
    "AdamW": (RULES, "adam"),
    "Nadam": (RULES, "nadam"),
    "Adamax": (RULES, "adamax"),
    "LAMB": (RULES, "lamb"),
    "LazyAdam": (RULES, "adam"),
    "RectifiedAdam": (RULES, "rectified_adam"),
    "Lookahead": (RULES, "lookahead"),
    "Decoupled": (UPDATES, "_expected"),
    "Coupled": (UPDATES, "_expected"),
    "L2": (UPDATES, "_expected"),
    "Constant": (SCHEDULES, "test_constant_is_constant"),
    "Steps": (SCHEDULES, "test_steps_hold_from_their_epoch_on"),
    "Exponential": (SCHEDULES, "test_exponential_and_inverse_time"),
    "InverseTime": (SCHEDULES, "test_exponential_and_inverse_time"),
    "Cosine": (SCHEDULES, "test_cosine_is_its_formula"),
    "ReduceLROnPlateau": ("optimizers/test_plateau.py", "test_the_rate_is_that_of_kerass_callback"),
}


@cache
def functions(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@cache
def words_of(path: Path) -> set[str]:
    """Return the names that a file's code uses, those behind a dot too."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {n.id for n in nodes if isinstance(n, ast.Name)} | {
        n.attr for n in nodes if isinstance(n, ast.Attribute)
    }


def test_every_part_with_a_formula_has_a_row() -> None:
    wanted = {name for name, module in workbench.PARTS.items() if module.startswith(FAMILIES)}
    assert set(ORACLES) == wanted, "a part without an oracle, or a row without a part"


@pytest.mark.parametrize("part", ORACLES)
def test_the_oracle_is_there_and_independent(part: str) -> None:
    file, name = ORACLES[part]
    path = ROOT / "tests" / "workbench" / file
    assert name in functions(path), f"{file} has no function {name}"
    if name.startswith("test_"):
        words = {node.id for node in ast.walk(functions(path)[name]) if isinstance(node, ast.Name)}
        assert part in words, f"{name} does not use {part}"
        return
    body = path.read_text(encoding="utf-8")
    assert file == UPDATES or ("import workbench" not in body and "from workbench" not in body), (
        f"{file} imports what it is to judge"
    )
    users = [words_of(other) for other in path.parent.glob("test_*.py")]
    assert any({part, name} <= words for words in users), f"no test beside {file} holds {part} against {name}"
