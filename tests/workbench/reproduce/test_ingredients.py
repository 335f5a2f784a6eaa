"""What differs between a record and what is here is named, without training anything."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.commands import rerun
from workbench.reproduce import ingredients
from workbench.spec.branch import trunk_of
from workbench.spec.load import load_variants
from workbench.spec.overrides import override_settings, setting_origins
from workbench.tracking import provenance
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord
from workbench.tracking.store import find_store
from workbench.train.from_record import RecordedRun

SPEC = '''"""Which augmentation?"""
from workbench import GDC, SGD, Cutout, Experiment, Flip, MobileFaceNet, Softmax, Stage, SyntheticFaces
experiment = Experiment(
    data=SyntheticFaces(), backbone=MobileFaceNet(image_size=32), embedding=GDC(size=16),
    stages=Stage(loss=Softmax(), epochs=1), optimizer=SGD(), learning_rate=0.1, batch_size=16, augment={augment},
)
'''


@pytest.fixture
def run(project: Path) -> RecordedRun:
    path = project / "experiments" / "faces.py"
    path.write_text(SPEC.format(augment="Flip()"))
    variant = override_settings(load_variants(path)[0], ["batch_size=8"])
    start = StartRecord(
        run="20260101T000000Z-00000001",
        id=variant.experiment.id,
        name=variant.name,
        spec=variant.experiment.to_json(),
        provenance={"spec_path": "experiments/faces.py", "origins": setting_origins(variant)},
    )
    return RecordedRun(find_store(), start.run, start, variant.experiment)


def test_the_same_file_is_the_same_with_the_overrides_of_the_run(run: RecordedRun) -> None:
    assert ingredients.spec(run) == ingredients.Ingredient("spec", True)


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ("None", ["augment: Flip in the record, off in experiments/faces.py now"]),
        (
            "Flip(probability=0.2)",
            ["augment.probability: 0.5 in the record, 0.2 in experiments/faces.py now"],
        ),
    ],
)
def test_a_changed_augmentation_is_named(
    run: RecordedRun, project: Path, augment: str, words: list[str]
) -> None:
    (project / "experiments" / "faces.py").write_text(SPEC.format(augment=augment))
    found = ingredients.spec(run)
    assert (found.same, list(found.differences)) == (False, words)


def test_a_variant_or_file_that_is_gone_is_said(run: RecordedRun, project: Path) -> None:
    path = project / "experiments" / "faces.py"
    path.write_text(SPEC.format(augment="Flip()") + "\nexperiment = experiment.but(name='other')\n")
    assert ingredients.spec(run).differences == ("experiments/faces.py has no variant 'base' any more",)
    path.unlink()
    assert ingredients.spec(run).same is None


BRANCHES = (
    SPEC.replace("experiment =", "trunk =")
    + """
experiments = [trunk.but(stages=3 * trunk.stages).branch(at_epoch=2, name="arc", stages=Stage(loss=Softmax(), epochs=1))]
"""
)


def test_a_trunk_is_found_behind_the_branches_of_its_file(run: RecordedRun, project: Path) -> None:
    (project / "experiments" / "faces.py").write_text(BRANCHES.format(augment="Flip()"))
    root = trunk_of(load_variants(Path("experiments/faces.py"))[0].experiment)
    assert root is not None
    start = replace(run.start, name="trunk@2", id=root.id, provenance={"spec_path": "experiments/faces.py"})
    found = replace(run, start=start, experiment=root)
    assert ingredients.spec(found) == ingredients.Ingredient("spec", True)
    (project / "experiments" / "faces.py").write_text(BRANCHES.format(augment="None"))
    assert ingredients.spec(found).differences == (
        "augment: Flip in the record, off in experiments/faces.py now",
    )


def test_of_a_trial_the_records_settings_are_used(run: RecordedRun, project: Path) -> None:
    (project / "experiments" / "faces.py").write_text('"""A sweep."""\n')
    found = ingredients.spec(replace(run, start=replace(run.start, tags={"workbench.sweep": "wd"})))
    assert (found.same, found.note) == (None, "a trial of the sweep wd; the record's settings are used")


def test_variables_that_libraries_set_by_themselves_are_no_difference(
    run: RecordedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"KMP_INIT_AT_FORK": "FALSE", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "OMP_NUM_THREADS": "2"}
    found = replace(run, start=replace(run.start, provenance={"environment": before}))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    differences = ingredients.environment(found).differences
    assert {text for text in differences if text.startswith(("KMP_", "MLFLOW_", "OMP_NUM"))} == {
        "OMP_NUM_THREADS: 2 in the record, 1 here",
        "MLFLOW_HTTP_REQUEST_TIMEOUT: not set in the record, 99 here",
    }


@pytest.mark.parametrize(
    ("status", "reason", "epochs", "meant"),
    [
        ("stopped", "paused after epoch 2, as asked", 2, 2),  # a trial of Hyperband
        ("finished", "lfw will not reach 0.99", 2, 2),  # ended by a forecast
        ("stopped", "stopped by SIGTERM", 2, None),
        ("finished", "", 3, None),
    ],
)
def test_an_early_end_that_was_meant_is_repeated(
    run: RecordedRun, status: str, reason: str, epochs: int, meant: int | None
) -> None:
    longer = replace(run, experiment=run.experiment.but(stages=3 * run.experiment.stages))
    with JournalWriter(run.store.journal(run.run)) as journal:
        journal.append(run.start)
        for number in range(1, epochs + 1):
            journal.append(
                EpochRecord(stage=1, stage_epoch=number, epoch=number, step=number, metrics={}, seconds=1)
            )
        journal.append(EndRecord(status=status, reason=reason))
    assert rerun._early_end(longer) == meant


@pytest.mark.parametrize(("engine", "same"), [("old", False), (provenance.engine(), True), (None, True)])
def test_other_files_of_the_workbench_itself_are_named(
    run: RecordedRun, project: Path, engine: str | None, same: bool
) -> None:
    author = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    (project / ".gitignore").write_text("mlruns/\n__pycache__/\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *author, *words], cwd=project, check=True)
    with JournalWriter(run.store.journal(run.run)) as journal:
        journal.append(run.start)
    now = ingredients.current(run)
    assert now is not None
    facts = {**run.start.provenance, "commit": now.commit, "engine": engine}
    found = ingredients.code_of(replace(run, start=replace(run.start, provenance=facts)))
    assert found.same is same
    assert found.differences == (
        () if same else ("the workbench's own files differ; they are not in this repository",)
    )


@pytest.mark.parametrize(
    ("recorded", "note"),
    [
        (
            "tensorflow==2.15.1\nnumpy==1.26.4\n",
            "TensorFlow 2.15.1 in the record, 2.21.0 here: bits may differ",
        ),
        ("tensorflow-cpu==2.15.1\n", "TensorFlow 2.15.1 in the record, 2.21.0 here: bits may differ"),
        ("tensorflow==2.21.0\nnumpy==1.26.4\n", ""),
        ("numpy==1.26.4\n", ""),
    ],
)
def test_another_tensorflow_is_named_with_what_it_means(
    run: RecordedRun, monkeypatch: pytest.MonkeyPatch, recorded: str, note: str
) -> None:
    monkeypatch.setattr(provenance, "installed_packages", lambda: {"numpy": "2.5.5", "tensorflow": "2.21.0"})
    folder = run.store.run_artifacts(run.run)
    folder.mkdir(parents=True)
    (folder / "packages.txt").write_text(recorded)
    found = ingredients.packages(run)
    assert (found.same, found.note) == (False, note)
    if note:
        assert found.lines()[0].endswith(note)


def test_a_run_that_goes_on_with_another_tensorflow_says_so(
    run: RecordedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.train import runner
    from workbench.train.request import RunRequest

    here = provenance.Provenance("host", 1, {"tensorflow": "2.21.0"}, {})
    request = RunRequest(load_variants(Path("experiments/faces.py"))[0], run.store, run.run, resume=True)
    assert runner.other_stack(request, here) == []  # nothing is recorded yet
    for version in ("2.21.0", "2.15.1"):
        with JournalWriter(run.store.journal(run.run)) as journal:
            journal.append(replace(run.start, versions={"tensorflow": version}))
        said = runner.other_stack(request, here)
        assert said == (
            ["TensorFlow 2.15.1 in the record, 2.21.0 here: bits may differ"] if version == "2.15.1" else []
        )
    assert runner.other_stack(replace(request, resume=False), here) == []
