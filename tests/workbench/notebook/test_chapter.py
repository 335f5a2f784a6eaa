"""The chapter `docs/notebook.ipynb`, run cell by cell as a notebook runs it, and what shows in it."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest


def cells(root: Path) -> list[str]:
    found = json.loads((root / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_one_and_holds_no_results(root: Path) -> None:
    found = json.loads((root / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    assert found["nbformat"] == 4
    assert all(not cell["outputs"] for cell in found["cells"] if cell["cell_type"] == "code")
    for text in cells(root):
        ast.parse(text)


def executed(text: str, space: dict[str, Any], number: int) -> Any:
    """Run a cell and return the value of its last expression, as a notebook shows it."""
    import linecache

    name = f"<cell {number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), space)
    return None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), space)  # noqa: S307


@pytest.mark.tensorflow
def test_the_chapter_runs_and_shows_itself(
    root: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    module = types.ModuleType("notebook_cells")
    monkeypatch.setitem(sys.modules, "notebook_cells", module)
    space = vars(module)
    space["In"] = []
    shown = []
    for number, text in enumerate(cells(root)):
        space["In"].append(text)
        value = executed(text, space, number)
        html = value._repr_html_() if hasattr(value, "_repr_html_") else None  # a figure may answer None
        if html is not None:
            shown.append(html)
            assert "object at 0x" not in html
    runs = space["runs"]
    assert [run.title for run in runs] == [
        "digits/base:0",
        "digits/label_smoothing=0.1:0",
        "digits/learning_rate=Constant,learning_rate.rate=0.002:0",
    ] or len(runs) == 3
    assert all(run.status == "finished" and len(run.history) == 8 for run in runs)
    assert any("<polyline" in text for text in shown) and any("label_smoothing" in text for text in shown)
    assert space["best"].scores.loc["val_accuracy", "best"] > 0.6
    assert max(row["val_accuracy"] for row in space["tables"][0].values()) > 0.5
    assert space["branch"].trunk is not None

    again = runs[0]  # what was written beside the records makes the run again, in a process that has no cell
    kept = (project / "mlruns" / "specs" / again.id / "digits.py").read_text()
    assert "class Confident(StatefulLoss):" in kept and "from workbench import" in kept
