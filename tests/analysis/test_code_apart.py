"""Runs of other code are other runs: in tables, figures, lists and forecasts, as are losses of other classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from stores import epoch, start

from analysis.figures.curves import panels
from analysis.forecast.cross_run_prior import CrossRunPrior
from analysis.forecast.forecaster import forecast
from analysis.forecast.runs import curves
from analysis.sources import load
from analysis.tables.summary import summary
from workbench.cli import main
from workbench.spec.load import load_variants
from workbench.spec.overrides import with_seed
from workbench.spec.part import REGISTRY
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord
from workbench.tracking.store import find_store

SPEC = '''"""Does it matter?"""
from workbench import *
class Gentle(StatefulLoss):
    strength: float = setting(0.5, doc="how strong")
    def classifier(self): return Softmax().classifier()
    def value(self, batch, state): return {factor} * self.strength * tf.reduce_mean(batch.logits)
class Scrawled(Digits):
    def scale(self): return {scale}
base = Experiment(data=Scrawled(hold_out=0.25), backbone=PlainCNN(image_size=32), embedding=E(size=8), batch_size=32,
    stages=(Stage(loss={loss}, epochs=20),), optimizer=SGD(), learning_rate=0.1, select="val_accuracy")
experiments = [base.but(name="only")]
'''


@pytest.fixture(autouse=True)
def _own_parts() -> object:
    yield
    for name in ("Gentle", "Scrawled"):
        REGISTRY.pop(name, None)


def record(number: int, seed: int = 0, *, factor: int = 2, scale: int = 1, loss: str = "Gentle()") -> str:
    """Record a run of twenty epochs of the spec with this code in it."""
    path = Path("experiments") / "code.py"
    path.write_text(SPEC.format(factor=factor, scale=scale, loss=loss))
    variant = with_seed(load_variants(path)[0], seed)
    run = f"20260101T00000{number}Z-0000000{number}"
    row = start(run, study="code", name="only", seed=seed, id=variant.experiment.id, time=1e9 + number,
                spec=variant.experiment.to_json(), stages=({"number": 1, "epochs": 20},),
                parameters={**variant.experiment.parameters(), "seed": seed})  # fmt: skip
    with JournalWriter(find_store().journal(run)) as journal:
        journal.append(row)
        for at in range(1, 21):
            journal.append(epoch(at, loss=2.0 / at, val_accuracy=0.9 - 0.5 / at, lr=0.1))
        journal.append(EndRecord(status="finished"))
    return run


def test_seeds_of_old_and_new_code_are_no_one_row_and_no_one_line(project: Path) -> None:
    record(1, seed=0)
    record(2, seed=1)
    together = load(journals=True)
    assert summary(together)["seeds"].tolist() == [2]
    record(3, seed=2, factor=3)  # the loss is another one from here on
    records = load(journals=True)
    frame = summary(records)
    assert frame["seeds"].tolist() == [2, 1]
    assert frame[next(name for name in frame if name.endswith("code"))].nunique() == 2
    shown = panels(records, ["val_accuracy"], "run", {})[0]
    assert len(shown.curves) == 2 and len({curve.label for curve in shown.curves}) == 2


def test_runs_on_data_of_other_code_are_no_prior(project: Path) -> None:
    record(1)
    record(2, seed=1)
    record(3, seed=2, scale=5)  # the data source draws otherwise
    mine, same, other = curves(load(journals=True), "val_accuracy")
    assert mine.data == same.data != other.data
    running = replace(mine.until(10), total=20)
    assert forecast(running, others=CrossRunPrior([same, other])).prior_runs == (same.run,)


def test_losses_of_two_classes_are_told_apart_by_their_class(project: Path, capsys) -> None:
    record(1, loss="ArcFace(margin=0.5)")
    record(2, loss="CosFace(margin=0.35)")
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert "ArcFace" in text and "CosFace" in text
    assert main(["table", "code"]) == 0
    text = capsys.readouterr().out
    assert "ArcFace" in text and "CosFace" in text
    labels = [curve.label for curve in panels(load(journals=True), ["val_accuracy"], "run", {})[0].curves]
    assert ["ArcFace" in labels[0], "CosFace" in labels[1]] == [True, True]
