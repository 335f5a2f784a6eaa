"""A record from elsewhere runs nothing unasked: its kept spec, its modules, its changes, its trusted models."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.errors import RecordError
from workbench.spec.load import load_variants
from workbench.spec.part import REGISTRY
from workbench.tracking.journal import encode_line, read_journal
from workbench.tracking.merging import merge
from workbench.tracking.origin import is_own, is_unchanged
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord
from workbench.tracking.store import Store, find_store
from workbench.tracking.tracker import Tracker
from workbench.train.from_record import open_run, recorded_variant

RUN = "20260101T000000Z-00000001"
SPEC = '''"""Is anything run?"""
from pathlib import Path
from workbench import GDC, SGD, Experiment, MobileFaceNet, Stage, SyntheticFaces
from workbench.spec.interfaces import Loss
from workbench.spec.part import setting

Path({mark!r}).write_text("run")

class Odd(Loss):
    strength: float = setting(0.5)

    def layer(self, classes, size, batch_size, teacher=None):
        return None

experiment = Experiment(
    data=SyntheticFaces(identities=4, images=4), backbone=MobileFaceNet(image_size=32, width=0.25),
    embedding=GDC(size=8), stages=Stage(loss=Odd(), epochs=2), optimizer=SGD(), learning_rate=0.1, batch_size=4,
)
'''


def forget() -> None:
    """Let this process know nothing of the spec, as one that has just begun."""
    REGISTRY.pop("Odd", None)
    for name in list(sys.modules):
        if name.startswith("workbench_spec_"):
            del sys.modules[name]


def record(project: Path, mark: Path, **provenance: object) -> Store:
    """Record a stopped run with an own loss in a project; returns its store, and nothing is loaded any more."""
    path = project / "experiments" / "odd.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SPEC.format(mark=str(mark)))
    variant = load_variants(path)[0]
    store = find_store(str(project / "mlruns"))
    start = StartRecord(
        run=RUN,
        id=variant.experiment.id,
        study="odd",
        name="base",
        spec=variant.experiment.to_json(),
        stages=({"number": 1, "name": "stage 1", "epochs": 2},),
        provenance={"spec_path": str(path), **provenance},
    )
    texts = {"spec.py": path.read_text(), "untracked/sitecustomize.py": f"open({str(mark)!r}, 'w').close()\n"}
    with Tracker.open(store, start, texts=texts, views=[], say=lambda line: None) as tracker:
        tracker.epoch(
            EpochRecord(stage=1, stage_epoch=1, epoch=1, step=1, metrics={"loss": 1.0}, seconds=1.0)
        )
        tracker.end("stopped")
    mark.unlink()
    forget()
    return store


@pytest.fixture
def merged(project: Path, tmp_path: Path) -> tuple[Store, Path]:
    """A store with a run merged from another, and the mark that its code would leave."""
    mark = tmp_path / "mark"
    theirs = record(tmp_path / "theirs", mark)
    here = find_store(str(project / "mlruns"))
    merge(theirs.root, here, lambda line: None)
    return here, mark


def test_a_store_knows_its_own_record_and_what_was_kept_with_it(tmp_path: Path) -> None:
    store = record(tmp_path / "mine", tmp_path / "mark")
    start = read_journal(store.journal(RUN)).start
    assert start is not None and is_own(store, start) and is_unchanged(store, start, "spec.py")
    assert recorded_variant(store, RUN, resumable=True).experiment.id == start.id
    changed = dataclasses.replace(start, provenance={**start.provenance, "spec_path": "/tmp/other.py"})
    assert not is_own(store, changed)
    (store.run_artifacts(RUN) / "spec.py").write_text("import os")
    assert not is_unchanged(store, start, "spec.py")
    forget()


def test_a_copied_store_is_another(tmp_path: Path) -> None:
    store = record(tmp_path / "mine", tmp_path / "mark")
    shutil.copytree(tmp_path / "mine", tmp_path / "copy")
    copy = find_store(str(tmp_path / "copy" / "mlruns"))
    start = read_journal(copy.journal(RUN)).start
    assert start is not None and is_own(store, start) and not is_own(copy, start)
    key = next(store.root.glob(".origin-*"))
    assert key.stat().st_mode & 0o77 == 0


COMMANDS = [
    ["resume", RUN],
    ["errors", RUN],
    ["rerun", RUN],
    ["rerun", RUN, "--here"],
    ["rerun", RUN, "--check"],
    ["verify", RUN, "a.png", "b.png"],
    ["export", RUN, "--format", "onnx"],
    ["clean", RUN, "-o", "list.txt"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_runs_the_code_of_a_merged_record(
    merged: tuple[Store, Path], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, mark = merged
    status = main(words)
    result = "".join(capsys.readouterr())
    assert not mark.exists()
    if "--check" not in words:
        assert status == 2 and "--trust-code" in result and "spec.py" in result, result


def test_the_code_runs_where_the_command_line_trusts_it(merged: tuple[Store, Path]) -> None:
    _, mark = merged
    with pytest.raises(RecordError, match="was not made in this store.*would run code here.*--trust-code"):
        open_run(RUN)
    assert open_run(RUN, trust_code=True).trusted
    assert mark.exists()
    forget()


def test_a_trust_that_was_recorded_elsewhere_counts_for_nothing(project: Path, tmp_path: Path) -> None:
    from workbench import GDC, SGD, Experiment, MobileFaceNet, Softmax, Stage, SyntheticFaces
    from workbench.train.initialize import FromModel

    experiment = Experiment(
        data=SyntheticFaces(identities=4, images=4),
        backbone=MobileFaceNet(image_size=32, width=0.25),
        embedding=GDC(size=8),
        stages=Stage(loss=Softmax(), epochs=1),
        optimizer=SGD(),
        learning_rate=0.1,
        batch_size=4,
        start=FromModel("model.h5", trust_code=True),
    )
    start = StartRecord(run=RUN, id=experiment.id, spec=experiment.to_json())
    store = find_store(str(project / "mlruns"))
    store.journals.mkdir(parents=True)
    store.journal(RUN).write_bytes(encode_line(start) + encode_line(EndRecord(status="stopped")))
    with pytest.raises(RecordError, match="model.h5, which its spec trusts.*--trust-code"):
        open_run(RUN)
    assert open_run(RUN, trust_code=True).experiment == experiment


def test_a_spec_path_leads_nowhere(project: Path, tmp_path: Path) -> None:
    """A record of another store names a file of this machine: it is neither run nor kept with the run."""
    secret = tmp_path / "secret.py"
    secret.write_text("raise SystemExit(9)")
    store = record(tmp_path / "theirs", tmp_path / "mark")
    here = find_store(str(project / "mlruns"))
    row = json.loads(store.journal(RUN).read_bytes().splitlines()[0][9:])
    row["provenance"]["spec_path"] = str(secret)
    from workbench.tracking.journal_lines import encode_row

    here.journals.mkdir(parents=True)
    here.journal(RUN).write_bytes(encode_row(row) + encode_line(EndRecord(status="stopped")))
    with pytest.raises(RecordError, match="would run code here: .*secret.py"):
        recorded_variant(here, RUN)


def test_git_starts_nothing_in_a_folder_of_others(tmp_path: Path) -> None:
    from workbench.tracking import code

    mark = tmp_path / "mark"
    for words in (["init", "-q"], ["config", "core.fsmonitor", f"touch {mark}; false"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "a").write_text("a")
    subprocess.run(["git", "-c", "core.fsmonitor=false", "add", "a"], cwd=tmp_path, check=True)
    subprocess.run(
        [
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "core.fsmonitor=false",
            "commit",
            "-qm",
            "a",
        ],
        cwd=tmp_path,
        check=True,
    )
    assert code.state(tmp_path) is not None
    assert not mark.exists()
