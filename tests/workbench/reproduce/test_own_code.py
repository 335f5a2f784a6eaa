"""A run whose own parts have changed: compared in words, never gone on with, opened from what was kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from workbench import Choice, GridSearch, Sweep
from workbench.errors import RecordError, SpecError
from workbench.reproduce.checkout import checkout
from workbench.reproduce.ingredients import code_of, spec
from workbench.spec.load import load_variants
from workbench.spec.part import REGISTRY
from workbench.spec.recorded_metrics import refuse_select
from workbench.tracking.journal import JournalWriter
from workbench.tracking.origin import sealed
from workbench.tracking.rows import EndRecord, StartRecord
from workbench.tracking.store import find_store
from workbench.train import checkpoint, checkpoint_file
from workbench.train.from_record import open_run, recorded_variant

RUN = "20260101T000000Z-00000001"
SPEC = """
from workbench import GDC, SGD, Experiment, MobileFaceNet, Softmax, Stage, SyntheticFaces
from workbench.spec.interfaces import Loss
from workbench.spec.part import setting
from beside import factor

class Steep(Loss):
    strength: float = setting(0.5)

    def layer(self, classes, size, batch_size, teacher=None):
        return factor({number})

experiment = Experiment(
    data=SyntheticFaces(identities=4, images=4), backbone=MobileFaceNet(image_size=32, width=0.25),
    embedding=GDC(size=8), stages=Stage(loss=Steep(), epochs=1), optimizer=SGD(), learning_rate=0.1, batch_size=4,
)
"""


@pytest.fixture
def recorded(project: Path) -> Iterator[Path]:
    """The spec file of a stopped run with an own loss; its text is kept in the record."""
    path = project / "experiments" / "steep.py"
    path.write_text(SPEC.format(number=1))
    (path.parent / "beside.py").write_text("def factor(x):\n    return x\n")
    variant = load_variants(path)[0]
    store = find_store(str(project / "mlruns"))
    (store.run_artifacts(RUN)).mkdir(parents=True)
    (store.run_artifacts(RUN) / "spec.py").write_text(path.read_text())
    start = StartRecord(
        run=RUN,
        id=variant.experiment.id,
        study="steep",
        name="base",
        spec=variant.experiment.to_json(),
        provenance={"spec_path": "experiments/steep.py", "engine": "e"},
    )
    with JournalWriter(store.journal(RUN)) as journal:
        journal.append(sealed(store, start, {"spec.py": path.read_bytes()}))
        journal.append(EndRecord(status="stopped", reason="for the test"))
    forget()
    yield path
    forget()


def forget() -> None:
    """Let this process know nothing of the spec, as one that has just begun."""
    REGISTRY.pop("Steep", None)
    for name in ("beside", "workbench_spec_steep"):
        sys.modules.pop(name, None)


def test_an_unchanged_run_is_opened_and_can_be_gone_on_with(recorded: Path) -> None:
    found = open_run(RUN)
    assert found.has_its_code and code_of(found).differences == ("the workbench's own files differ",)
    assert recorded_variant(found.store, RUN, resumable=True).experiment.id == found.start.id


def test_a_changed_or_moved_spec_file_is_taken_from_the_record(recorded: Path) -> None:
    recorded.write_text(SPEC.format(number=2))
    found = open_run(RUN)
    assert found.has_its_code
    assert any("Steep: its source" in words for words in code_of(found).differences)
    assert any("stages.1.loss.code" in words for words in spec(found).differences)
    forget()
    recorded.unlink()
    assert open_run(RUN).has_its_code


def test_a_changed_module_beside_it_ends_a_resume_with_the_reason(recorded: Path) -> None:
    (recorded.parent / "beside.py").write_text("def factor(x):\n    return -x\n")
    with pytest.raises(
        RecordError, match="its part Steep has the source .* the code it ran with is not here"
    ):
        recorded_variant(find_store(), RUN, resumable=True)
    forget()
    found = open_run(RUN, any_code=True)
    assert not found.has_its_code
    assert any("Steep: its source" in words for words in code_of(found).differences)
    with pytest.raises(RecordError, match="its own code is another one now .*--here"), checkout(found):
        pass


def test_a_spec_that_selects_what_nothing_records_is_refused_with_near_names(recorded: Path) -> None:
    experiment = load_variants(recorded)[0].experiment.but(select="val_loss")
    with pytest.raises(SpecError, match="no run of it records 'val_loss'.*did you mean 'loss'"):
        refuse_select(experiment)
    with pytest.raises(SpecError, match="no run of it records 'los'.*did you mean 'loss'"):
        experiment.but(select="los")
    refuse_select(experiment.but(select="loss"))
    with pytest.raises(SpecError, match="no run of it records 'val_loss'"):
        Sweep(base=experiment, space={"batch_size": Choice(4, 8)}, tuner=GridSearch(), objective="loss")


def test_a_checkpoint_is_called_best_only_where_it_is(tmp_path: Path) -> None:
    assert checkpoint_file.chosen(tmp_path) == (None, "no checkpoint")
    facts = {"epoch": 3, "epoch_step": 0}
    checkpoint_file.write(
        tmp_path / checkpoint_file.file_name(3, 9), checkpoint.State({"a": np.zeros(1)}, facts)
    )
    assert checkpoint_file.chosen(tmp_path)[1] == "last, epoch 3; it has no best one"
    assert checkpoint_file.chosen(tmp_path, "last")[1] == "last, epoch 3"
    checkpoint_file.write(
        tmp_path / checkpoint_file.BEST, checkpoint.State({"a": np.ones(1)}, {**facts, "epoch": 2})
    )
    assert checkpoint_file.chosen(tmp_path)[1] == "best, epoch 2"
