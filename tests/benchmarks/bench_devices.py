"""Several devices: images a second of two processes on two cores against one process on one core.

Each side is a real run of MobileFaceNet in processes of its own, bound to its cores; the global batch of two is
twice that of one. The time of a step is that of an epoch after the first (which traces), from the journal,
with evaluation off. Memory is the peak of one process. Horovod's rows are left out where it is not built.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paired import Row, main, spread

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "workbench")]
from running import free_ports, launch, launch_workers, write_project  # noqa: E402

BATCH, STEPS, EPOCHS, REPEATS = 16, 6, 4, 2  # images of one process; steps of an epoch
SPEC = '''"""How fast are several devices?"""
from workbench import (GDC, SGD, ArcFace, Experiment, Horovod, Mirrored, MobileFaceNet, MultiWorker, OneDevice, Stage,
                       SyntheticFaces)
experiment = Experiment(
    data=SyntheticFaces(identities=16, images={batch} * {steps} // 16, image_size=112), backbone=MobileFaceNet(),
    embedding=GDC(size=256), stages=(Stage(loss=ArcFace(scale=32), epochs={epochs}),), optimizer=SGD(momentum=0.9),
    learning_rate=0.01, batch_size={batch}, devices={devices},
)
'''
MEASURED = """
import resource, sys
from workbench.cli import main
status = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)
sys.exit(status)
"""


@dataclass(frozen=True)
class Side:
    """A strategy: its name, its devices in the spec, how many processes on how many cores, its batch."""

    name: str
    devices: str
    processes: int
    cores: tuple[str, ...]  # of each process
    batch: int


def sides() -> list[Side]:
    """Return what is measured; the first is what the others are held against."""
    hosts = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    two = ("0", "1")
    found = [
        Side("OneDevice, 1 core", "OneDevice()", 1, ("0",), BATCH),
        Side("OneDevice, 2 cores", "OneDevice()", 1, ("0,1",), 2 * BATCH),
        Side("Mirrored, 2 logical devices", 'Mirrored(kind="cpu", count=2)', 1, ("0,1",), 2 * BATCH),
        Side("MultiWorker, 2 processes", f"MultiWorker(hosts={hosts!r})", 2, two, 2 * BATCH),
        Side(
            "MultiWorker, norms apart", f"MultiWorker(hosts={hosts!r}, sync_norms=False)", 2, two, 2 * BATCH
        ),
    ]
    if importlib.util.find_spec("horovod") is not None:
        found += [
            Side("Horovod, 2 processes", "Horovod()", 2, two, 2 * BATCH),
            Side("Horovod, norms apart", "Horovod(sync_norms=False)", 2, two, 2 * BATCH),
        ]
    return found


def started(side: Side, folder: Path) -> list[subprocess.Popen[str]]:
    """Start the processes of a side, each bound to its cores, with as many threads."""
    words = [sys.executable, "-c", MEASURED, "run", "experiments/speed.py"]
    limits = threads(side.cores[0])
    if side.devices.startswith("Horovod"):
        bound = ["bash", "-c", 'exec taskset -c "$HOROVOD_LOCAL_RANK" "$@"', "bound", *words]
        horovodrun = [sys.executable, "-m", "horovod.runner.launch", "-np", str(side.processes), "--gloo"]
        return [launch([*horovodrun, *bound], folder, TF_CPP_MIN_LOG_LEVEL="3", **limits)]
    return launch_workers([["taskset", "-c", cores, *words] for cores in side.cores], folder, **limits)


def threads(cores: str) -> dict[str, str]:
    """Return the variables that let TensorFlow use as many threads as there are `cores`."""
    count = str(len(cores.split(",")))
    return {"OMP_NUM_THREADS": count, "TF_NUM_INTRAOP_THREADS": count, "TF_NUM_INTEROP_THREADS": count}


def measure(side: Side) -> tuple[float, float]:
    """Return seconds a step, the quickest epoch after the first, and MB of the largest process."""
    with tempfile.TemporaryDirectory() as name:
        fields = {"batch": side.batch, "steps": STEPS, "epochs": EPOCHS, "devices": side.devices}
        folder = write_project(Path(name), SPEC, "speed", **fields)
        running = started(side, folder)
        outputs = [process.communicate(timeout=1200)[0] for process in running]
        if any(process.returncode for process in running):
            raise RuntimeError(f"{side.name}: {outputs[0][-1500:]}")
        (journal,) = (folder / "mlruns" / "journal").glob("*.jsonl")
        rows: list[dict[str, Any]] = [json.loads(line[9:]) for line in journal.read_text().splitlines()]
        epochs = [row["seconds"] for row in rows if row.get("kind") == "epoch"]
        peaks = [int(found) for text in outputs for found in re.findall(r"peak (\d+)", text)]
        return min(epochs[1:]) / STEPS, float(max(peaks))


def rows() -> list[Row]:
    """Measure every side `REPEATS` times, in turn, and hold images a second against the first side's."""
    found = sides()
    measured: dict[str, list[tuple[float, float]]] = {side.name: [] for side in found}
    for _ in range(REPEATS):
        for side in found:
            measured[side.name].append(measure(side))
    base = [BATCH / seconds for seconds, _ in measured[found[0].name]]
    result = [_row(side, measured[side.name], base) for side in found]
    return [*result, best(result)]


def _row(side: Side, measured: list[tuple[float, float]], base: list[float]) -> Row:
    seconds, memory = [pair[0] for pair in measured], max(pair[1] for pair in measured)
    details = {
        "strategy": side.name,
        "batch": str(side.batch),
        "step": f"{1000 * min(seconds):,.0f} ms",
        "images a second": f"{side.batch / min(seconds):.1f}",
        "memory a process": f"{memory:,.0f} MB",
    }
    ratio = spread([side.batch / own / one for own, one in zip(seconds, base)])
    return Row(f"images a second, {side.name} / OneDevice on 1 core", ratio, details=details)


def best(measured: list[Row]) -> Row:
    """Return the row with the target: the better of the strategies of two processes."""
    pairs = [row for row in measured if "MultiWorker" in row.name or "Horovod" in row.name]
    top = max(pairs, key=lambda row: row.value)
    return Row("the better of two processes on two cores", top.figure, at_least=1.6, note=top.name)


if __name__ == "__main__":
    main(rows)
