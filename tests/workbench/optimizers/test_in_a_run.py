"""The field's reference numbers out of the record of a real run, whose parts a user could have written."""

from __future__ import annotations

import pytest
from running import finished

from workbench.optimizers.schedules import Cosine, Steps
from workbench.tracking.journal import read_journal

pytestmark = pytest.mark.tensorflow

SPEC = '''"""What becomes of one weight under every form of decay?"""
from workbench import L2, SGD, SGDW, Coupled, Cosine, Decoupled, Experiment, Stage, Steps
from workbench.spec.interfaces import Backbone; from workbench.spec.interfaces import Embedding; from workbench.spec.interfaces import Images; from workbench.spec.interfaces import Loss; from workbench.spec.interfaces import Source
from workbench.spec.part import part; from workbench.spec.part import setting

@part
class Ones(Source):
    """Two images of which nothing is used but their number."""
    def open(self, places):
        import numpy as np
        import tensorflow as tf
        read = lambda size: lambda number: tf.zeros([size, size, 3], tf.uint8)
        return Images(np.array([0, 1], np.int32), ("a", "b"), ("0", "1"), read, "two zeros")

@part
class One(Backbone):
    """Feature 1, whatever the image."""
    image_size: int = setting(8)
    def build(self, inputs):
        import tensorflow as tf
        return tf.keras.layers.GlobalAveragePooling2D()(inputs)[:, :1] * 0.0 + 1.0

@part
class Weight(Embedding):
    """One weight that starts at 1."""
    size: int = setting(1)
    def build(self, features):
        import tensorflow as tf
        return tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(features)

@part
class HalfSquare(Loss):
    """(0 - y)**2 / 2."""
    term = "half_square_loss"
    def layer(self, classes, size, batch_size, teacher=None):
        import tensorflow as tf
        class Layer(tf.keras.layers.Layer):
            def __call__(self, batch):
                return tf.reduce_mean(batch.embeddings**2) / 2
        return Layer()

rows = [
    (SGD(), None), (SGD(), L2(0.02)), (SGDW(), Decoupled(0.002)), (SGD(momentum=0.9), None),
    (SGD(momentum=0.9), L2(0.02)), (SGDW(momentum=0.9), Decoupled(0.002)), (SGD(), Coupled(0.002)),
    (SGD(), Coupled(0.02)), (SGD(momentum=0.9), Coupled(0.02)),
]
stages = [
    Stage(loss=HalfSquare(), epochs=4, optimizer=rule, weight_decay=decay, optimizer_state="reset", name=f"row {n}")
    for n, (rule, decay) in enumerate(rows)
]
table = Experiment(
    data=Ones(), backbone=One(), embedding=Weight(), stages=stages, optimizer=SGD(), learning_rate=0.1, batch_size=2,
    name="table", log_model="none",
)
moving = table.but(
    name="moving", optimizer=SGDW(), weight_decay=Decoupled(0.01),
    learning_rate=Cosine(peak=0.1, floor=0.001, cycle=3, growth=1.5, decay=0.5, warmup=1, per="batch"),
    stages=(
        Stage(loss=HalfSquare(), epochs=3, name="warm-up and first cycle"),
        Stage(loss=HalfSquare(), epochs=2, advances_schedule=False, name="stands still"),
        Stage(loss=HalfSquare(), epochs=4, name="cool-down and restart"),
        Stage(loss=HalfSquare(), epochs=3, learning_rate=Steps(peak=0.05, from_epochs=(3,)), name="its own"),
        Stage(loss=HalfSquare(), epochs=2, schedule_start=4.0, name="enters at 4"),
    ),
)
experiments = [table, moving]
'''
TABLE = [
    (0.9, 0.81, 0.729),
    (0.898, 0.806404, 0.7241508),
    (0.898, 0.806404, 0.72415084),
    (0.9, 0.72, 0.486),
    (0.898, 0.714604, 0.47665802),
    (0.898, 0.71640396, 0.48151073),
    (0.8998, 0.80964005, 0.72851413),
    (0.898, 0.806404, 0.7241508),
    (0.898, 0.714604, 0.47665802),
]


@pytest.fixture(scope="module")
def recorded_by(tmp_path_factory, root):
    """A function: the name of an experiment of the spec -> the metrics of its epochs, out of the journal."""
    folder = tmp_path_factory.mktemp("one_weight")
    (folder / "experiments").mkdir()
    (folder / "mlruns").mkdir()
    (folder / "experiments" / "one_weight.py").write_text(SPEC)

    def run(name):
        before = set((folder / "mlruns" / "journal").glob("*.jsonl"))
        done = finished(folder, "run", "experiments/one_weight.py", name)
        assert done.returncode == 0, done.stderr[-3000:]
        (journal,) = set((folder / "mlruns" / "journal").glob("*.jsonl")) - before
        return [record.metrics for record in read_journal(journal).accepted()]

    return run


@pytest.fixture(scope="module")
def epochs(recorded_by):
    """The recorded metrics of the table's run, a list of four epochs a stage."""
    rows = recorded_by("table")
    return [rows[4 * stage : 4 * stage + 4] for stage in range(len(TABLE))]


def test_recorded_rate_and_decay_follow_the_schedule_through_stages(recorded_by):
    rows = recorded_by("moving")
    cosine = Cosine(peak=0.1, floor=0.001, cycle=3, growth=1.5, decay=0.5, warmup=1, per="batch")
    steps = Steps(peak=0.05, from_epochs=(3,))
    times = [0, 1, 2, 3, 3, 3, 4, 5, 6]  # one step an epoch; the second stage leaves t at 3
    rates = [*map(cosine.at, times), *(steps.at(t) for t in (0, 1, 2)), cosine.at(4), cosine.at(5)]
    assert [row["lr"] for row in rows] == pytest.approx(rates, rel=1e-6)
    peaks = [0.1] * 9 + [0.05] * 3 + [0.1] * 2
    weights = [(2 * row["loss"]) ** 0.5 for row in rows]
    for before, after, rate, peak in zip(weights, weights[1:], rates, peaks):
        assert after == pytest.approx(before * (1 - 0.01 * rate / peak - rate), rel=1e-6)


def test_the_fields_table_from_the_record(epochs):
    for expected, stage in zip(TABLE, epochs, strict=True):
        # loss is w**2 / 2 before the epoch's update; the updates are linear, so each stage may start anywhere
        weights = [(2 * (row["loss"] - row.get("regular_loss", 0.0))) ** 0.5 for row in stage]
        assert [w / weights[0] for w in weights[1:]] == pytest.approx(expected, abs=1e-6)
        assert all(row["lr"] == pytest.approx(0.1) for row in stage)


def test_recorded_losses_include_the_regulariser(epochs):
    stage = epochs[1]
    start = 2 * (stage[0]["loss"] - stage[0]["regular_loss"])
    assert [row["loss"] / start for row in stage[:3]] == pytest.approx([0.51, 0.411266, 0.331647], abs=1e-6)
    assert "regular_loss" not in epochs[2][0]


CHECKED = '''"""Which schedule?"""
from workbench import *
from workbench import GDC, SGD, ArcFace, Cosine, Experiment, L2, MobileNet, Stage, SyntheticFaces
experiment = Experiment(
    data=SyntheticFaces(), backbone=MobileNet(), embedding=GDC(), stages=(Stage(loss=ArcFace(), epochs=10),),
    optimizer=SGD(momentum=0.9), learning_rate=Cosine(peak=0.1, cycle={cycle}, warmup={warmup}), weight_decay=L2(5e-4),
    batch_size=8,
)
'''.replace("from workbench import *\n", "")


@pytest.mark.parametrize(
    ("cycle", "warmup", "status", "said"),
    [
        (9, 0, 0, "equals tfa SGDW weight_decay=5e-05 at lr 0.1"),
        (9, 0, 0, "1e-05 ┤"),
        (16, 0, 2, "stage 1 (ArcFace()): learning_rate: the first cycle of 16 epochs is longer than the 10"),
        (
            3,
            11,
            2,
            "stage 1 (ArcFace()): learning_rate: a warm-up of 11 epochs is longer than the stage of 10",
        ),
    ],
)
def test_check_prints_and_refuses(root, project, cycle, warmup, status, said):
    (project / "experiments" / "one.py").write_text(CHECKED.format(cycle=cycle, warmup=warmup))
    done = finished(project, "check", "experiments/one.py", "--no-steps")
    assert done.returncode == status, done.stderr
    assert said in (done.stdout if status == 0 else done.stderr)
