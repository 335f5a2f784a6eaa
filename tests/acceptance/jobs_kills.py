"""SIGKILL `run --jobs 2`, its workers and all of it together; `run --resume --jobs 2` ends as if nobody had.

    python tests/acceptance/jobs_kills.py [--seed 1] [--kills 6]

Two variants of a small network train side by side. In a round all of it is killed first, then the process that
started the others (whose end they notice), then one worker at a planted place; the last attempt is let be. Weights,
rows, MLflow and TensorBoard of both variants are compared with those of a study that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE), str(HERE.parent / "workbench" / "tracking")]

import kills  # noqa: E402
from planted import PHASES  # noqa: E402
from stores import Board, everything  # noqa: E402

from workbench.tracking.journal import read_journal  # noqa: E402
from workbench.tracking.runs import read_states  # noqa: E402
from workbench.tracking.store import Store, find_store  # noqa: E402

VARIANTS = ("base", "smooth")
STUDY = 'experiment = experiment.but(name="base")\nexperiments = [experiment, experiment.but(label_smoothing=0.1, name="smooth")]\n'
# Imported by every Python of the study: a worker whose variant is named dies at its planted place, and says so first.
PLANT = f"""
import os, sys
words = sys.orig_argv
if os.environ.get("PLANTED_IN") in words and "--run-name" in words:
    sys.path.append({str(HERE)!r})
    import planted
    planted._left, end = int(os.environ["PLANTED_COUNT"]), planted.die
    def die():
        if planted._left == 1:
            open(os.environ["PLANTED_MARK"], "w").close()
        end()
    planted.die = die
    planted.PHASES[os.environ["PLANTED_PHASE"]]()
"""
PATIENCE = 900.0
# Of MLflow's tags: what belongs to this run of it and not to what was trained.
OWN_TAGS = (
    "workbench.run",
    "workbench.attempts",
    "mlflow.workbench.files",
    "mlflow.workbench.models",
    "mlflow.note.content",
    "mlflow.user",
    "mlflow.log-model.history",
)


class Study:
    """A project, and the `run --jobs 2` that is at work in it."""

    def __init__(self, project: Path, spec: str) -> None:
        self.project = kills.made(project, spec)
        self.store: Store = find_store(str(project / "mlruns"))
        (project / "plant").mkdir()
        (project / "plant" / "sitecustomize.py").write_text(PLANT)
        self.mark = project / "mark"

    def start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join((str(self.project / "plant"), str(ROOT)))
        environment = {**os.environ, "PYTHONPATH": path, "PLANTED_MARK": str(self.mark), **variables}
        command = [sys.executable, "-m", "workbench", "run", "experiments/kills.py", "--jobs", "2"]
        with (self.project / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [*command, "--devices", "cpu:0,cpu:0", *words],
                cwd=self.project,
                env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
            )

    def rows(self) -> int:
        """Return how many epochs are recorded of both."""
        return sum(len(read_journal(self.store.journal(run)).accepted()) for run in self.store.runs())

    def finish(self, *words: str) -> None:
        process = self.start(*words)
        assert process.wait(PATIENCE) == 0, (self.project / "log.txt").read_text()[-3000:]

    def quiet(self) -> None:
        """Wait until no worker is at work any more: each noticed that its parent is gone."""
        deadline = time.monotonic() + PATIENCE
        while any(state.status == "running" for state in read_states(self.store)):
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def runs(self) -> dict[str, str]:
        """Return the run of each variant; there is one each, however often the study was killed."""
        starts = {run: read_journal(self.store.journal(run)).start for run in self.store.runs()}
        found = {start.name: run for run, start in starts.items() if start}
        assert sorted(found) == sorted(VARIANTS) and len(starts) == len(VARIANTS), starts
        return found


def children(pid: int) -> list[int]:
    """Return the processes that one has started and that are still there."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def killed_at(study: Study, whom: str, more: int, words: tuple[str, ...]) -> str:
    """Start the study and kill the chief, or all of it, `more` epochs later; return what was killed, "" for none."""
    before, process = study.rows(), study.start(*words)
    while process.poll() is None:
        if study.rows() >= before + more:
            victims = [process.pid, *(children(process.pid) if whom == "all" else [])]
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            process.wait()
            study.quiet()
            return whom
        time.sleep(0.05)
    assert process.returncode == 0, (study.project / "log.txt").read_text()[-3000:]
    return ""


def worker_killed(study: Study, phase: str, rng: random.Random, words: tuple[str, ...]) -> str:
    """Start the study with a kill planted in one of its workers, which the others outlive."""
    study.mark.unlink(missing_ok=True)
    where = {"PLANTED_IN": rng.choice(VARIANTS), "PLANTED_PHASE": phase, "PLANTED_COUNT": "1"}
    process = study.start(*words, **where)
    status = process.wait(PATIENCE)
    assert status in (0, 1), (study.project / "log.txt").read_text()[-3000:]
    return f"a worker {phase}" if study.mark.exists() else ""


def content(study: Study) -> dict[str, Any]:
    """Return what a study holds and shows of each variant, but for names, times and places of this machine."""
    board, held = Board(study.store.tensorboard), everything(study.store)
    found: dict[str, Any] = {}
    for name, run in study.runs().items():
        arrays, rows = kills.final(study.project, run)
        shown = held[run]
        scalars = {
            tag: board.scalars(place, tag)
            for place in board.runs()
            if run in place
            for tag in board.many.Runs()[place]["tensors"]
            if not tag.startswith("_hparams_")
        }
        found[name] = {
            "arrays": {key: value.tobytes() for key, value in arrays.items()},
            "rows": rows,
            "facts": (shown["facts"][1], shown["facts"][4]),
            "tags": {key: value for key, value in shown["tags"].items() if key not in OWN_TAGS},
            "parameters": shown["parameters"],
            "metrics": [point[:3] for point in shown["metrics"] if not point[0].startswith("system/")],
            "files": sorted(name for name in shown["files"] if not name.startswith("attempt-")),
            "models": {key: model["metrics"] for key, model in shown["models"].items()},
            "tensorboard": scalars,
        }
    return found


def round_of_kills(study: Study, rng: random.Random, phase: str) -> Counter[str]:
    """Kill all of it, the chief and a worker, then let it end."""
    fell: Counter[str] = Counter()
    fell[killed_at(study, "all", rng.randint(1, 4), ())] += 1
    fell[killed_at(study, "chief", rng.randint(1, 2), ("--resume",))] += 1
    fell[worker_killed(study, phase, rng, ("--resume",))] += 1
    study.finish("--resume")
    del fell[""]
    return fell


def main() -> int:
    """Do rounds until enough kills fell; return 1 where anything differs from the undisturbed study."""
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=6)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    rng = random.Random(given.seed)
    spec = kills.SPEC.format(data="SyntheticFaces(identities=16, images=10)")
    for old, new in kills.LIGHT:
        spec = spec.replace(old, new)
    base, fell, rounds, wrong = Path(tempfile.mkdtemp(prefix="jobs-kills-")), Counter[str](), 0, list[str]()
    whole = Study(base / "whole", spec + STUDY)
    whole.finish()
    expected = content(whole)
    print(f"seed {given.seed}, {base}", flush=True)
    phases = rng.sample(sorted(PHASES), len(PHASES))
    while sum(fell.values()) < given.kills:
        study = Study(base / f"round-{rounds}", spec + STUDY)
        fell += round_of_kills(study, rng, phases[rounds % len(phases)])
        rounds += 1
        wrong += differences(expected, content(study), f"round {rounds}")
        print(f"round {rounds}: {dict(fell)}, {len(wrong)} differences {wrong[:3]}", flush=True)
    print(f"{sum(fell.values())} kills in {rounds} rounds; {'DIFFERENT' if wrong else 'all equal'}")
    return 1 if wrong else 0


def differences(one: Any, other: Any, where: str) -> list[str]:
    """Return the places at which two contents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other}, key=str)
        return [
            text for name in names for text in differences(one.get(name), other.get(name), f"{where}/{name}")
        ]
    return [] if one == other else [f"{where}: {str(other)[:150]} instead of {str(one)[:150]}"]


if __name__ == "__main__":
    sys.exit(main())
