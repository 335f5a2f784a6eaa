"""The chapter `docs/notebook.ipynb`, run in a Jupyter kernel, and what shows in it."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

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


LAST = """
import json

print("RESULT " + json.dumps({
    "titles": [run.title for run in runs],
    "finished": [run.status == "finished" and len(run.history) == 8 for run in runs],
    "best": best.scores.loc["val_accuracy", "best"],
    "tables": max(row["val_accuracy"] for row in tables[0].values()),
    "branched": branch.trunk is not None,
    "id": runs[0].id,
    "off": float(abs(vectors[:2] - answer.json()["predictions"]).max()),
    "length": float((vectors**2).sum(1).max()),
    "served_down": server.wait(1200) is not None,
}))
"""

TRAINED = 'workbench.run(variant, study="digits")'


@pytest.mark.tensorflow
def test_the_chapter_runs_in_a_kernel_and_shows_itself(root: Path, project: Path) -> None:
    import nbclient
    import nbformat

    notebook = nbformat.read(root / "docs" / "notebook.ipynb", as_version=4)
    (loop,) = [cell for cell in notebook.cells if TRAINED in cell.source]
    # The first run trains in a process of its own, as the chapter's do; the others spare the start of TensorFlow.
    loop.source = loop.source.replace(TRAINED, TRAINED[:-1] + ", process=variant is base)")
    notebook.cells.append(nbformat.v4.new_code_cell(LAST))
    client = nbclient.NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(project)}}
    )
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    client.execute(env={**os.environ, "PYTHONPATH": path})

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert not any("object at 0x" in html for html in shown)
    assert any("<polyline" in text for text in shown)
    assert any("label_smoothing" in text for text in shown)
    printed = "".join(output.text for output in notebook.cells[-1].outputs if output.output_type == "stream")
    result = json.loads(printed.partition("RESULT ")[2].splitlines()[0])
    assert len(result["titles"]) == 3
    assert result["titles"][:2] == ["digits/base:0", "digits/label_smoothing=0.1:0"]
    assert all(result["finished"])
    assert result["best"] > 0.6
    assert result["tables"] > 0.5
    assert result["branched"]
    assert result["off"] < 1e-5  # what HTTP answers is what the model says
    assert result["length"] == pytest.approx(1, abs=1e-4)
    assert result["served_down"]

    # What was written beside the records makes the run again, in a process that has no cell.
    kept = (project / "mlruns" / "specs" / result["id"] / "digits.py").read_text()
    assert "class Confident(StatefulLoss):" in kept
    assert "from workbench import" in kept
