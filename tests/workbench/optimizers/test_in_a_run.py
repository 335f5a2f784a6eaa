"""The field's reference numbers out of the record of a real run, whose parts a user could have written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.tracking.journal import read_journal

pytestmark = pytest.mark.tensorflow

SPEC = '''"""What becomes of one weight under every form of decay?"""
from workbench import L2, SGD, SGDW, Coupled, Decoupled, Experiment, OneDevice, Stage
from workbench.families import Backbone, Embedding, Images, Loss, Source
from workbench.parts import part, setting

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
experiment = Experiment(
    data=Ones(), backbone=One(), embedding=Weight(), stages=stages, optimizer=SGD(), learning_rate=0.1, batch_size=2,
)
'''
TABLE = [
    (0.9, 0.81, 0.729), (0.898, 0.806404, 0.7241508), (0.898, 0.806404, 0.72415084), (0.9, 0.72, 0.486),
    (0.898, 0.714604, 0.47665802), (0.898, 0.71640396, 0.48151073), (0.8998, 0.80964005, 0.72851413),
    (0.898, 0.806404, 0.7241508), (0.898, 0.714604, 0.47665802),
]  # fmt: skip


def workbench(root: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def epochs(tmp_path_factory, root):
    """The recorded metrics of the run, a list of four epochs a stage."""
    folder = tmp_path_factory.mktemp("one_weight")
    (folder / "experiments").mkdir()
    (folder / "mlruns").mkdir()
    (folder / "experiments" / "one_weight.py").write_text(SPEC)
    done = workbench(root, folder, "run", "experiments/one_weight.py")
    assert done.returncode == 0, done.stderr[-3000:]
    (journal,) = (folder / "mlruns" / "journal").glob("*.jsonl")
    rows = [record.metrics for record in read_journal(journal).accepted]
    return [rows[4 * stage : 4 * stage + 4] for stage in range(len(TABLE))]


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
        (3, 11, 2, "stage 1 (ArcFace()): learning_rate: a warm-up of 11 epochs is longer than the stage of 10"),
    ],
)
def test_check_prints_and_refuses(root, project, cycle, warmup, status, said):
    (project / "experiments" / "one.py").write_text(CHECKED.format(cycle=cycle, warmup=warmup))
    done = workbench(root, project, "check", "experiments/one.py", "--no-steps")
    assert done.returncode == status, done.stderr
    assert said in (done.stdout if status == 0 else done.stderr)
