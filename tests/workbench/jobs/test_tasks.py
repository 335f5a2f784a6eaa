"""Which run each task takes, what its process is given, and the order by cost."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from specs import tiny

from workbench import MobileFaceNet, Softmax, Stage, SyntheticFaces
from workbench.jobs.estimate import Costs, images, longest_first, multiply_adds, work
from workbench.jobs.placement import Place
from workbench.jobs.progress import PlainProgress
from workbench.jobs.scheduler import Work
from workbench.jobs.task import Task, planned
from workbench.spec.overrides import override_settings, with_seed
from workbench.spec.variant import Variant
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord
from workbench.tracking.runs import read_states
from workbench.tracking.store import Store, find_store


def variant(name: str = "base", **changes) -> Variant:
    return Variant(name, tiny(**changes), study="study", path="experiments/study.py")


def record(
    store: Store, number: int, made: Variant, status: str | None, epochs: int = 2, seconds: float = 3.0
) -> str:
    """Write the journal of a run that did `epochs` epochs of `seconds` and ended so (None: not at all)."""
    run = f"20260101T000000Z-{number:08x}"
    experiment = made.experiment
    stages = tuple({"number": p.number, "name": p.name, "epochs": p.epochs} for p in experiment.plans())
    with JournalWriter(store.journal(run)) as journal:
        journal.append(
            StartRecord(
                run=run,
                id=experiment.id,
                study=made.study,
                name=made.name,
                seed=experiment.seed,
                spec=experiment.to_json(),
                stages=stages,
            )
        )
        for epoch in range(1, epochs + 1):
            journal.append(
                EpochRecord(
                    stage=1,
                    stage_epoch=epoch,
                    epoch=epoch,
                    step=epoch,
                    metrics={"loss": 1.0},
                    seconds=seconds,
                )
            )
        if status is not None:
            journal.append(EndRecord(status=status))
    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return find_store(str(tmp_path / "mlruns"))


def test_resume_takes_each_unfinished_run_once_and_leaves_the_rest_alone(store: Store) -> None:
    base, other, third = variant(), variant("other", label_smoothing=0.1), variant("third", batch_size=8)
    seeded = with_seed(base, 7)
    stopped = record(store, 1, base, "stopped")
    killed = record(store, 2, base, None)
    finished = record(store, 3, other, "finished")
    twin = Variant("base", base.experiment, study="another", path="experiments/another.py")
    said: list[str] = []
    found = planned([base, other, third, seeded, twin], store, True, said.append)
    assert [(task.variant.name, task.run, task.resume) for task in found[:1]] == [("base", killed, True)]
    assert [task.variant.name for task in found] == ["base", "third", "base", "base"]
    assert (found[3].run, found[3].resume) == (stopped, True)
    assert not found[1].resume and not found[2].resume
    assert len(said) == 1 and f"finished as {finished}: left alone" in said[0]
    assert len({task.run for task in found}) == 4


def test_a_run_at_work_elsewhere_is_left_alone(store: Store) -> None:
    base = variant()
    run = record(store, 1, base, None)
    said: list[str] = []
    with JournalWriter(store.journal(run)):
        assert planned([base], store, True, said.append) == []
    assert "is running as" in said[0]
    assert planned([base], store, True, said.append)[0].run == run


def test_equal_settings_and_seed_in_one_study_are_trained_once(store: Store) -> None:
    said: list[str] = []
    found = planned([variant(), variant("again"), with_seed(variant(), 1)], store, False, said.append)
    assert [task.variant.experiment.seed for task in found] == [0, 1]
    assert "study/again is study/base seed 0 again: it is trained once" in said[0]


def test_the_words_of_a_process_repeat_what_the_user_asked_for() -> None:
    made = override_settings(with_seed(variant(), 3), ["weight_decay=1e-3"])
    words = Task(made, "r1", False, "lfw beat=0.9").words("http://h:1", as_json=True)
    assert words[2:] == [
        "workbench",
        "run",
        "experiments/study.py",
        "base",
        "--run-name",
        "r1",
        "--seed",
        "3",
        "--set=weight_decay=1e-3",
        "--json",
        "--store",
        "http://h:1",
        "--forecast",
        "lfw beat=0.9",
    ]


def test_work_is_images_times_epochs_times_the_networks_size() -> None:
    small = tiny()
    assert images(small.data) == 64  # 8 identities of 8 images
    assert work(tiny(stages=small.stages * 2)) == 2 * work(small)
    whole = multiply_adds(MobileFaceNet())
    assert whole == 220_874_752
    assert multiply_adds(MobileFaceNet(image_size=56)) == whole / 4
    assert multiply_adds(MobileFaceNet(width=0.5)) == whole / 4
    assert work(tiny(data=SyntheticFaces(identities=16, images=8))) == 2 * work(small)


def test_runs_without_settings_teach_nothing(store: Store) -> None:
    """The run of a sweep, and what was imported, have rows and no spec."""
    with JournalWriter(store.journal("20260101T000000Z-00000009")) as journal:
        journal.append(
            StartRecord(
                run="20260101T000000Z-00000009", stages=({"number": 1, "name": "trials", "epochs": 3},)
            )
        )
        journal.append(EpochRecord(stage=1, stage_epoch=1, epoch=1, step=1, metrics={}, seconds=7.0))
    task = Task(variant(), "new", False)
    assert Costs(read_states(store)).estimate(task) == Costs([]).estimate(task)


def test_the_longest_run_comes_first(store: Store) -> None:
    short = variant("short", stages=(Stage(loss=Softmax(), epochs=1),))
    long = variant("long", stages=(Stage(loss=Softmax(), epochs=30),))
    tasks = [Task(v, v.name, False) for v in (short, variant(), long)]
    assert [task.run for task in longest_first(tasks, Costs([]))] == ["long", "base", "short"]
    record(store, 1, short, "finished", epochs=1, seconds=10_000.0)  # experience corrects the guess
    costs = Costs(read_states(store))
    assert costs.known(tasks[0]) == 10_000.0
    assert costs.known(tasks[1]) is None
    assert costs.estimate(tasks[1]) == pytest.approx(50_000.0)  # five epochs at the rate that was seen
    record(store, 2, long, "finished", epochs=1, seconds=1.0)
    assert longest_first(tasks, Costs(read_states(store)))[0].run != "long"


def test_what_is_left_of_a_resumed_run_counts(store: Store) -> None:
    base = variant()
    run = record(store, 1, base, None, epochs=3, seconds=10.0)
    costs = Costs(read_states(store))
    assert costs.known(Task(base, run, True)) == pytest.approx(20.0)  # two of five epochs
    assert costs.known(Task(base, "new", False)) == pytest.approx(50.0)


def test_the_plain_board_tells_start_epochs_end_and_reason(store: Store) -> None:
    base = variant()
    stream = io.StringIO()
    reporter = PlainProgress(store, stream, 2, Costs([]))
    ended: list[str] = []
    reporter.after = ended.append
    run = record(store, 1, base, None, epochs=2)
    work_ = Work(1, Task(base, run, False), Place(cores=(1,)), None)  # type: ignore[arg-type]
    reporter.started(work_)
    reporter.update([work_], 1)
    reporter.ended(work_, 1)
    lines = stream.getvalue().splitlines()
    assert lines[0] == f"[1/2] begun  {run}  study/base seed 0  on core 1"
    assert lines[1] == "[1/2] epoch 2/5  loss 1.0000"
    assert lines[2].startswith("[1/2] failed in ")
    assert lines[3] == f"[1/2] its process was killed; `workbench resume {run}` goes on"
    assert ended == [run]
