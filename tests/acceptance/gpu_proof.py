"""What `make gpu` proves of a machine's devices, each proof a few rows of one table.

The same script runs on the CPU in a small form, so that it is known to work before it meets a GPU. Everything goes
through the program as a user starts it, each training and each measurement in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workbench"))

from running import accepted, arrays, finished, journal, start, write_project

SPEC = '''"""Does training on this machine's devices do what it must?"""
from workbench import (
    E, GDC, SGD, ArcFace, Experiment, Flip, HeldOutPairs, Mirrored, MobileFaceNet, MobileNet, OneDevice, PlainCNN, Safety,
    Softmax, Stage, SyntheticFaces,
)
one = OneDevice(kind={kind!r})
base = Experiment(
    data=SyntheticFaces(identities={people}, images={images}, image_size={size}, hold_out=0.1),
    evaluate=HeldOutPairs(identities={held}, pairs={pairs}, name="unseen"),
    backbone={network}, embedding=GDC(size=64),
    stages=Stage(loss=ArcFace(scale=16), epochs={epochs}), optimizer=SGD(momentum=0.9), learning_rate=0.02,
    weight_decay=5e-4, augment=Flip(), batch_size={batch}, devices=one, safety=Safety(every_steps=2),
)
pool = base.but(
    backbone=PlainCNN(image_size=18, filters=(8, 8), dense=8), embedding=E(), evaluate=(),
    stages=Stage(loss=Softmax(), epochs=1), devices=OneDevice(kind={kind!r}, xla=True),
)
speed = base.but(
    data=SyntheticFaces(identities=16, images={many}, image_size={size}), evaluate=(), augment=None, weight_decay=None,
    embedding=GDC(size=512), stages=Stage(loss=Softmax(), epochs=99),
)
experiments = [
    speed.but(name="speed"),
    base.but(name="float32"),
    base.but(name="float16", precision="mixed_float16"),
    base.but(name="bfloat16", precision="mixed_bfloat16"),
    base.but(name="xla", devices=OneDevice(kind={kind!r}, xla=True)),
    base.but(name="free", devices=OneDevice(kind={kind!r}, deterministic=False)),
    base.but(name="mirrored", devices=Mirrored(kind={kind!r}, count={count})),
    pool.but(name="pool"),
]
'''


@dataclass(frozen=True)
class Form:
    """How large the proofs are, and on which kind of device."""

    kind: str = "gpu"
    size: int = 112
    network: str = "MobileFaceNet(image_size=112)"
    tolerance: float = 0.1  # of a loss, relative: half precision skips first steps until its loss scale fits
    people: int = 64
    images: int = 64
    held: int = 8
    pairs: int = 600
    epochs: int = 3
    batch: int = 128
    steps: int = 30
    evaluated: int = 12_000
    count: int | None = None
    whole_quickstart: bool = True


SMALL = Form(
    "cpu",
    size=32,
    network="MobileNet(image_size=32, width=0.25, depth=1, stem_stride=2)",
    tolerance=0.5,
    people=8,
    images=12,
    held=3,
    pairs=24,
    epochs=2,
    batch=16,
    steps=4,
    evaluated=300,
    count=2,
    whole_quickstart=False,
)


@dataclass(frozen=True)
class Row:
    """One line of the table; `holds` is None for what is only measured."""

    what: str
    value: str
    holds: bool | None = None


@dataclass
class Proof:
    """The project in which the proofs train, and the rows found so far."""

    form: Form
    folder: Path
    root: Path
    rows: list[Row] = field(default_factory=list)
    runs: int = 0
    known: dict[str, str] = field(default_factory=dict)  # variants that more than one proof looks at

    def __post_init__(self) -> None:
        form = self.form
        write_project(
            self.folder,
            SPEC,
            kind=form.kind,
            people=form.people,
            images=form.images,
            size=form.size,
            held=form.held,
            pairs=form.pairs,
            network=form.network,
            many=form.steps * form.batch // 16 + 1,
            epochs=form.epochs,
            batch=form.batch,
            count=form.count,
        )
        quickstart = (self.root / "experiments" / "quickstart.py").read_text()
        (self.folder / "experiments" / "quickstart.py").write_text(quickstart)

    def add(self, what: str, value: str, holds: bool | None = None) -> None:
        self.rows.append(Row(what, value, holds))
        print(line(self.rows[-1]), flush=True)

    def name(self) -> str:
        self.runs += 1
        return f"20260101T000000Z-{self.runs:08x}"

    def done(self, *words: str, status: int = 0) -> str:
        """Run the program to its end and return what it said; fails on another exit status."""
        process = start(self.root, self.folder, *words)
        out, _ = process.communicate(timeout=3600)
        assert process.returncode == status, f"{' '.join(words)}: status {process.returncode}\n{out[-2000:]}"
        return out

    def trained(self, variant: str) -> str:
        """Train a variant and return its run's name."""
        run = self.name()
        self.done("run", "experiments/study.py", variant, "--run-name", run)
        return run

    def once(self, variant: str) -> str:
        """Return the run of a variant, trained when a proof first asks for it."""
        if variant not in self.known:
            self.known[variant] = self.trained(variant)
        return self.known[variant]

    def loss(self, run: str) -> float:
        return float(journal(self.folder, run).accepted()[-1].metrics["loss"])

    def rate(self, run: str) -> float:
        """Return images a second of the quickest epoch: the first holds the tracing."""
        rows = journal(self.folder, run).accepted()
        steps = rows[1].step - rows[0].step
        return steps * self.form.batch / min(row.seconds for row in rows[1:])

    def measured(self, what: str) -> dict:
        form = self.form
        words = [what, self.folder / "experiments" / "study.py", form.steps, form.evaluated]
        script = self.root / "tests" / "acceptance" / "gpu_measure.py"
        done = finished(self.root, *map(str, words), program=(str(script),))
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.strip().splitlines()[-1])


# ---------------------------------------------------------------- the proofs


def devices(proof: Proof) -> None:
    """Devices are found, and memory is taken as it is needed."""
    found = proof.measured("devices")
    proof.add("TensorFlow", f"{found['tensorflow']}, {found['device']}")
    if proof.form.kind == "gpu":
        proof.add("GPUs", ", ".join(found["gpus"]), bool(found["gpus"]))
        proof.add(
            "memory growth", f"{found['held'] / 2**20:,.0f} MiB held after a small sum", all(found["growth"])
        )


def quickstart(proof: Proof) -> None:
    """The quickstart trains as everywhere."""
    began = time.monotonic()
    words = ["experiments/quickstart.py", "head-stage", "--run-name", proof.name()]
    out = proof.done("run", *words, *([] if proof.form.whole_quickstart else ["--quick"]))
    wanted = "on GPU" if proof.form.kind == "gpu" else "on CPU"
    proof.add("quickstart", f"{time.monotonic() - began:.0f} s", wanted in out)


def precisions(proof: Proof) -> None:
    """The three precisions end with losses that agree."""
    found = {name: proof.once(name) for name in ("float32", "float16", "bfloat16")}
    whole = proof.loss(found["float32"])
    for name, run in found.items():
        off = proof.loss(run) / whole - 1
        words = f"loss {proof.loss(run):.4f} ({off:+.2%}), {proof.rate(run):,.0f} images a second"
        proof.add(name, words, math.isfinite(off) and abs(off) < proof.form.tolerance)


def seeds(proof: Proof) -> None:
    """Equal seeds give equal bits, and a kill in the middle of an epoch changes none."""
    first, again = proof.once("float32"), proof.trained("float32")
    proof.add("the same seed again", "weights, optimizer and epochs compared", same(proof, first, again))
    run = proof.name()
    words = ["run", "experiments/study.py", "float32", "--run-name", run]
    process = start(proof.root, proof.folder, *words, planted=("while writing a checkpoint", 3))
    process.communicate(timeout=3600)
    killed = process.returncode == -9
    proof.done("resume", run)
    proof.add(
        "killed within an epoch, resumed", "compared with the whole run", killed and same(proof, first, run)
    )


def same(proof: Proof, one: str, other: str) -> bool:
    a, b = (arrays(proof.folder, run) for run in (one, other))
    bits = a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
    return bits and accepted(proof.folder, one) == accepted(proof.folder, other)


def compiled(proof: Proof) -> None:
    """XLA trains the same, and what it gains."""
    plain, run = proof.once("float32"), proof.trained("xla")
    off = proof.loss(run) / proof.loss(plain) - 1
    gain = proof.rate(run) / proof.rate(plain)
    proof.add(
        "XLA", f"{gain:.2f} times the images a second, loss {off:+.2%}", abs(off) < proof.form.tolerance
    )


def determinism(proof: Proof) -> None:
    """What repeatable operations cost, and how one without such a form ends."""
    plain, run = proof.once("float32"), proof.trained("free")
    cost = proof.rate(run) / proof.rate(plain) - 1
    proof.add("deterministic=False", f"{cost:+.1%} images a second")
    out = proof.done("run", "experiments/study.py", "pool", "--run-name", proof.name(), status=1)
    result = "deterministic=False" in out and "Traceback" not in out
    proof.add("an operation without a repeatable form", "one line that names deterministic=False", result)


def speed(proof: Proof) -> None:
    """Images a second beside a bare `fit`, and how long the device waits for data."""
    found = proof.measured("speed")
    ratio, waits = found["ours"] / found["bare"], max(0.0, 1 - found["bare"] / found["still"])
    enough = ratio > 0.9 if proof.form.kind == "gpu" else None
    proof.add("images a second", f"{found['ours']:,.0f}, {ratio:.2f} of a bare fit", enough)
    proof.add("share of a step that waits for data", f"{waits:.1%}")


def largest_head(proof: Proof) -> None:
    """The estimate of `check` beside what a head takes, up to the largest that fits."""
    rows = proof.measured("head")["rows"]
    last = rows[-1]
    grown = [(a["peak"] - b["peak"]) / (a["estimate"] - b["estimate"]) for a, b in zip(rows[1:], rows)]
    name = "largest head that fits" if proof.form.kind == "gpu" else "a head"
    words = f"{last['classes']:,} identities: {last['peak'] / 2**30:.2f} GiB, check says {last['estimate'] / 2**30:.2f}"
    fits = 0.5 < last["peak"] / last["estimate"] < 2 if proof.form.kind == "gpu" else None
    proof.add(name, f"{words}; {grown[-1]:.2f} bytes taken for one estimated" if grown else words, fits)


def evaluated(proof: Proof) -> None:
    """How long a set of images takes."""
    found = proof.measured("evaluation")
    proof.add(f"evaluation of {found['images']:,} images", f"{found['seconds']:.1f} s")


def mirrored(proof: Proof) -> None:
    """All devices together train as one."""
    plain, run = proof.once("float32"), proof.trained("mirrored")
    off = proof.loss(run) / proof.loss(plain) - 1
    words = f"{proof.rate(run) / proof.rate(plain):.2f} times one device, loss {off:+.2%}"
    proof.add("Mirrored over all", words, abs(off) < 0.05)


PROOFS: dict[str, Callable[[Proof], None]] = {
    "devices": devices,
    "quickstart": quickstart,
    "precisions": precisions,
    "seeds": seeds,
    "XLA": compiled,
    "determinism": determinism,
    "speed": speed,
    "head": largest_head,
    "evaluation": evaluated,
    "Mirrored": mirrored,
}


def prove(form: Form, folder: Path, root: Path, wanted: Iterable[str] = PROOFS) -> list[Row]:
    """Do the wanted proofs and return their rows; one that fails by itself is a row, and the others follow."""
    proof = Proof(form, folder, root)
    for name in wanted:
        with reported(proof, name):
            PROOFS[name](proof)
    return proof.rows


@contextlib.contextmanager
def reported(proof: Proof, name: str) -> Iterator[None]:
    """Turn a failed proof into a row."""
    try:
        yield
    except Exception as error:
        proof.add(name, f"{type(error).__name__}: {error}"[-600:], False)


def line(row: Row) -> str:
    mark = {True: "yes", False: "NO", None: ""}[row.holds]
    return f"| {row.what} | {' '.join(row.value.split())} | {mark} |"


def table(rows: list[Row]) -> str:
    """Return the table in Markdown."""
    return "\n".join(["| proof | found | holds |", "| --- | --- | --- |", *map(line, rows)]) + "\n"
