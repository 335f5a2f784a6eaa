"""Runs from Python, without training: names, frames, what shows itself, and the spec file of a cell's parts."""

from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stores import epoch, start

import workbench
from workbench.errors import RecordError, SpecError
from workbench.notebook.run_view import Run
from workbench.notebook.spec_file import write_spec_file
from workbench.notebook.variants import name_within, variant_of
from workbench.spec.html import sparkline
from workbench.spec.load import load_variants
from workbench.spec.part import REGISTRY
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord
from workbench.tracking.store import Store, find_store

CELL = """
import math
from workbench import *
from workbench import StatefulLoss as Base
FACTOR = 2.0
UNUSED = object()

def scaled(x):
    return FACTOR * math.sqrt(x)

class Celled(Base):
    strength: float = setting(0.5, doc="how strong")

    def classifier(self):
        return Softmax().classifier()

    def value(self, batch, state):
        return scaled(self.strength) * tf.reduce_mean(batch.logits)

base = Experiment(
    data=Digits(hold_out=0.25), backbone=PlainCNN(image_size=32), embedding=E(size=8), batch_size=32,
    stages=(Stage(loss=Celled(), epochs=2), Stage(loss=Softmax(), epochs=1)), optimizer=SGD(), learning_rate=0.1,
)
"""


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of a notebook in which one cell was run, as a kernel has them."""
    module = types.ModuleType("cells_of_a_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    linecache.cache["<cell 1>"] = (len(CELL), None, CELL.splitlines(True), "<cell 1>")
    vars(module)["In"] = ["", CELL]
    exec(compile(CELL, "<cell 1>", "exec"), vars(module))
    yield vars(module)
    REGISTRY.pop("Celled", None)


def test_a_cells_parts_become_a_spec_file_of_the_same_identity(cell: dict[str, Any], tmp_path: Path) -> None:
    base = cell["base"]
    path = write_spec_file(tmp_path, "study", "mine", base, "A question?")
    text = path.read_text()
    assert "def scaled(x):" in text and "FACTOR = 2.0" in text and "import math" in text
    assert "UNUSED" not in text and "base =" not in text
    assert REGISTRY["Celled"] is cell["Celled"]  # the cell's own class is still the one that is meant here
    found = load_variants(path)[0]
    assert (found.name, found.study, found.question) == ("mine", "study", "A question?")
    assert found.experiment.id == base.id
    assert type(found.experiment.stages[0].loss) is not cell["Celled"]


def test_a_part_that_hangs_on_more_than_its_cells_is_refused(cell: dict[str, Any], tmp_path: Path) -> None:
    import io

    cell["FACTOR"] = io.StringIO("2")  # made elsewhere: no statement says how
    with pytest.raises(SpecError, match="process=False|raised"):
        write_spec_file(tmp_path, "study", "mine", cell["base"])


def record(store: Store, number: int, experiment: Any, name: str, seed: int = 0) -> Run:
    run = f"20260101T00000{number}Z-0000000{number}"
    row = start(
        run,
        study="digits",
        name=name,
        seed=seed,
        id=experiment.id,
        spec=experiment.to_json(),
        time=1e9 + number,
        parameters=experiment.parameters(),
        stages=({"number": 1, "name": "Celled", "epochs": 2}, {"number": 2, "name": "Softmax", "epochs": 1}),
    )
    with JournalWriter(store.journal(run)) as journal:
        journal.append(row)
        for at, value in enumerate((0.4, 0.6 + seed / 10, 0.5), start=1):
            journal.append(epoch(at, loss=1.0 / at, val_accuracy=value, lr=0.1))
        journal.append(EndRecord(status="finished"))
    return Run(store, run)


def test_a_run_is_its_record_as_frames(cell: dict[str, Any], project: Path) -> None:
    run = record(find_store(), 1, cell["base"], "base")
    assert run.history["val_accuracy"].tolist() == [0.4, 0.6, 0.5] and run.history.index.tolist() == [1, 2, 3]
    assert run.scores.loc["val_accuracy"].tolist() == [0.6, 2, 1, 0.5]
    assert run.scores.loc["loss", "epoch"] == 3
    assert run.stages["name"].tolist() == ["Celled", "Softmax"] and run.status == "finished"
    assert run.settings["stages.1.loss"] == "Celled" and run.experiment == cell["base"]
    assert (
        repr(run)
        == "<Run digits/base:0  finished, epoch 3 of 3; best loss 0.3333 @3, val_accuracy 0.6000 @2>"
    )
    assert "<polyline" in run._repr_html_() and "digits/base:0" in run._repr_html_()
    assert run.branch(after_stage=1).trunk is not None
    with pytest.raises(RecordError, match="no best scores of ''"):
        run.pair_scores()
    with pytest.raises(RecordError, match="no best checkpoint"):
        run.model("best")
    with pytest.raises(RecordError, match="no state after epoch 2 is kept"):
        run.model(2)
    with pytest.raises(RecordError, match="no epoch 9: 3 were trained"):
        run.model(9)


def test_runs_show_what_tells_them_apart_and_compare(cell: dict[str, Any], project: Path) -> None:
    store, base = find_store(), cell["base"]
    record(store, 1, base, "base")
    record(store, 2, base.but(label_smoothing=0.1), "smooth", seed=1)
    found = workbench.runs("digits")
    assert [run.title for run in found] == ["digits/base:0", "digits/smooth:1"]
    assert "label_smoothing" in repr(found) and "val_accuracy 0.7000 @2" in repr(found)
    assert found._repr_html_().count("<svg") == 2
    table = found.table()
    assert table["label_smoothing"].tolist() == [0.0, 0.1] and table["seed"].tolist() == ["0", "1"]
    assert workbench.find("@last").title == "digits/smooth:1"
    assert workbench.find("@last") == found[1] != found[0] and len({*found, workbench.find("@last")}) == 2
    assert (
        found.figure()._repr_png_()[1:4] == b"PNG"
    )  # pyplot, by whose import a notebook learns it, is not there
    assert found[0].figure()._repr_png_()[1:4] == b"PNG"
    assert workbench.runs("other") == [] and repr(workbench.runs("other")) == "<Runs: none>"


def test_an_experiment_is_named_by_its_difference_from_the_studys_first(
    cell: dict[str, Any], project: Path
) -> None:
    store, base = find_store(), cell["base"]
    assert name_within(base, store, "digits") == "base"
    record(store, 1, base, "base")
    assert name_within(base.but(label_smoothing=0.1), store, "digits") == "label_smoothing=0.1"
    assert variant_of(base, store, None, "digits").name == "base"
    assert variant_of(base, store, "own", "digits").name == "own"
    with pytest.raises(SpecError, match="expected an Experiment or a spec file"):
        variant_of(3, store, None, None)  # type: ignore[arg-type]


def test_an_experiment_and_a_sweep_show_themselves(cell: dict[str, Any]) -> None:
    base = cell["base"]
    assert repr(base).startswith(
        f"<Experiment {base.id}: PlainCNN, E on Digits(hold_out=0.25); Celled() (2), "
    )
    shown = base._repr_html_()
    assert "Celled" in shown and shown.count("<svg") == 2 and "batch_size" in shown
    sweep = workbench.Sweep(
        base=base, space={"batch_size": workbench.Choice(16, 32)}, tuner=workbench.GridSearch(), name="sizes"
    )
    assert (
        repr(sweep).startswith("<Sweep sizes: val_accuracy by GridSearch over batch_size")
        and "<table>" in sweep._repr_html_()
    )


def test_a_sweep_of_python_becomes_a_spec_file_of_the_same_search(
    cell: dict[str, Any], tmp_path: Path
) -> None:
    from workbench.sweep.load_sweeps import load_sweeps

    choices = {"batch_size": workbench.Choice(16, 32), "weight_decay": workbench.Choice(None, 5e-4)}
    space = {**choices, "optimizer": workbench.Choice(workbench.SGD(), workbench.Adam())}
    sweep = workbench.Sweep(base=cell["base"], space=space, tuner=workbench.GridSearch(), name="sizes")
    path = write_spec_file(tmp_path, "study", "sizes", sweep, word="sweep")
    (found, _) = load_sweeps(path)[0]
    assert found.space == sweep.space and found.base.id == sweep.base.id


def test_a_sparkline_leaves_gaps_where_values_are_missing() -> None:
    assert sparkline([]) == "" == sparkline([float("nan")])
    assert sparkline([1.0, float("nan"), 2.0, 3.0]).count("<polyline") == 1
    assert sparkline([1.0, float("nan"), 2.0, 3.0]).count("<circle") == 1


def test_a_check_says_what_a_run_would_be(cell: dict[str, Any], project: Path) -> None:
    found = workbench.check(cell["base"], steps=False)
    assert "own part Celled" in repr(found) and "Celled" in found._repr_html_()
    with pytest.raises(SpecError, match="no run of it records 'lfw'"):
        workbench.check(cell["base"].but(select="lfw"), steps=False)
