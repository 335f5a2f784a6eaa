"""`workbench data distill --logits`: what a student of logits learns from is what the teacher's head says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.cli import main

SPEC = '''
"""Is there a teacher?"""

from workbench import E, Adam, ArcFace, Digits, DistillLogits, Experiment, PlainCNN, Softmax, Stage, TFRecords

teacher = Experiment(
    name="teacher", data=Digits(), backbone=PlainCNN(filters=(8, 8, 8)), embedding=E(size=8),
    stages=Stage(loss=Softmax(), epochs=1), optimizer=Adam(), learning_rate=0.01, batch_size=64, log_model="none",
)
student = teacher.but(
    data=TFRecords("logits.tfrecord", teacher=10), stages=Stage(loss=DistillLogits(), epochs=1), name="student"
)
experiments = [teacher, student, teacher.but(stages=Stage(loss=ArcFace(), epochs=1), name="angles")]
'''


@pytest.mark.tensorflow
def test_a_student_learns_from_the_logits_of_a_run(project: Path, capsys: pytest.CaptureFixture[str]):
    import tensorflow as tf

    from workbench.data.sources.record_files import TFRecords
    from workbench.spec.datasets import Places
    from workbench.train import checkpoint_file
    from workbench.train.from_record import load_model, open_run

    (project / "experiments" / "s.py").write_text(SPEC)
    assert main(["run", "experiments/s.py", "teacher", "--quick"]) == 0
    run = next((project / "mlruns" / "journal").glob("*.jsonl")).stem
    found = open_run(run, None)
    size = found.experiment.backbone.image_size
    words = ["data", "distill", run, "Digits()", "logits.tfrecord", "--logits", "--size", str(size)]
    assert main([*words, "--float32"]) == 0
    assert "1797 images with 10 numbers" in capsys.readouterr().out

    arrays = checkpoint_file.newest(found.checkpoints).arrays
    images = TFRecords("logits.tfrecord").open(Places(roots=(project,), cache=project / "mlruns" / "cache"))
    pixels = np.stack([np.asarray(images.reader(size)(number)) for number in range(4)]).astype(np.float32)
    embeddings = load_model(found.experiment, found.checkpoints, "last")(
        (pixels - 127.5) / 128, training=False
    )
    expected = embeddings.numpy() @ arrays["head/00000"].T + arrays["head/00001"]
    learned = images.teacher(tf.constant(range(4), tf.int64))
    np.testing.assert_allclose(learned, expected, atol=1e-4)
    for name in (
        "student",
        "angles",
    ):  # one by one: together, each would start TensorFlow in a process of its own
        assert main(["run", "experiments/s.py", name, "--quick"]) == 0
    angles = next(
        p.stem for p in (project / "mlruns" / "journal").glob("*.jsonl") if '"angles"' in p.read_text()
    )
    assert main(["data", "distill", angles, "Digits()", "x.tfrecord", "--logits", "--size", "32"]) == 2
    assert "expected Dense logits" in capsys.readouterr().err
