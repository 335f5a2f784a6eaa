"""`workbench data`: every command as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from material import write_faces
from PIL import Image

from workbench.cli import main

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Seen at a glance?"""
from workbench import GDC, SGD, ArcFace, Experiment, Flip, ImageFolder, MobileNet, RandAugment, Softmax, Stage

experiment = Experiment(
    data=ImageFolder("faces"), backbone=MobileNet(image_size=32), embedding=GDC(size=8),
    stages=(Stage(loss=Softmax(), epochs=1), Stage(loss=ArcFace(), epochs=3, augment=(Flip(), RandAugment()))),
    optimizer=SGD(), learning_rate=0.1, batch_size=4,
)
'''


@pytest.fixture
def folder(project: Path) -> Path:
    return write_faces(project / "faces", people=3, images=4)


def test_there_and_back(project: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "pack", "faces", "t.rec"]) == 0
    assert "12 images of 3 identities" in capsys.readouterr().out
    assert main(["data", "pack", "t.rec", "t.tfrecord"]) == 0
    assert main(["data", "extract", "t.tfrecord", "back"]) == 0
    for file in folder.glob("*/*.png"):
        assert (project / "back" / file.relative_to(folder)).read_bytes() == file.read_bytes()
    assert main(["data", "pairs", "back", "t.bin", "--pairs", "10"]) == 0
    from workbench.data import pair_files

    found = pair_files.read_bin(project / "t.bin")
    assert found.same.sum() == 5
    originals = {file.read_bytes() for file in folder.glob("*/*.png")}
    assert set(found.encoded) <= originals


def test_pairs_from_a_list(project: Path, folder: Path) -> None:
    (project / "pairs.txt").write_text("1\nperson 0\t1\t2\nperson 0\t1\tperson 2\t4\n")
    assert main(["data", "pairs", "faces", "t.bin", "--list", "pairs.txt"]) == 0
    from workbench.data import pair_files

    found = pair_files.read_bin(project / "t.bin")
    assert found.same.tolist() == [True, False]
    assert found.encoded[found.second[1]] == (folder / "person 2" / "03.png").read_bytes()


def test_arrays_and_parts(project: Path) -> None:
    np.savez(
        project / "a.npz",
        images=np.random.default_rng(0).integers(0, 255, (4, 9, 9, 3), np.uint8),
        labels=np.array([1, 0, 1, 0]),
    )
    assert main(["data", "extract", "a.npz", "out"]) == 2  # no stated size
    assert main(["data", "extract", "a.npz", "out", "--size", "9"]) == 0
    stored = np.asarray(Image.open(sorted((project / "out" / "1").iterdir())[0]))
    np.testing.assert_array_equal(stored, np.load(project / "a.npz")["images"][0])
    assert (
        main(
            ["data", "pack", "SyntheticFaces(identities=2, images=2, image_size=16, teacher=4)", "s.tfrecord"]
        )
        == 0
    )
    assert main(["data", "pack", "Digits()", "d.rec", "--size", "8"]) == 0
    assert main(["data", "pack", "Flip()", "f.rec"]) == 2


def test_show(project: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "look.py").write_text(SPEC)
    assert main(["data", "show", "look.py", "--images", "5"]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(name).name for name in written] == ["look-base-stage1.png", "look-base-stage2.png"]
    first, second = (Image.open(project / name) for name in written)
    assert second.height > first.height  # three epochs below the originals, not just the originals
    assert np.asarray(second).std() > 10


def test_align(project: Path, folder: Path) -> None:
    points = ",".join(f"{v / 5:.2f}" for v in np.ravel([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]]))
    (project / "points.csv").write_text("".join(f"person {k}/00.png,{points}\n" for k in range(3)))
    assert main(["data", "align", "faces", "points.csv", "aligned"]) == 0
    assert Image.open(project / "aligned" / "person 1" / "00.png").size == (112, 112)
    assert Image.open(project / "aligned.png").width > 300


def test_distill(project: Path, folder: Path) -> None:
    import tensorflow as tf

    from workbench import TFRecords
    from workbench.spec.interfaces import Places

    teacher = tf.keras.Sequential(
        [tf.keras.layers.Input((12, 12, 3)), tf.keras.layers.Flatten(), tf.keras.layers.Dense(6)]
    )
    teacher.save(project / "teacher.h5")
    for option, tolerance in (([], 2e-3), (["--float32"], 1e-5)):
        target = project / f"t{len(option)}.tfrecord"
        assert main(["data", "distill", "teacher.h5", "faces", str(target), *option]) == 0
        images = TFRecords(str(target), teacher=6).open(Places((project,)))
        pixels = tf.stack([images.reader(12)(k) for k in range(12)])
        wanted = teacher((tf.cast(pixels, tf.float32) - 127.5) / 128)
        np.testing.assert_allclose(images.teacher(np.arange(12)), wanted, atol=tolerance, rtol=tolerance)
    arrays = np.random.default_rng(0).integers(0, 255, (4, 9, 9, 3), np.uint8)
    np.savez(project / "a.npz", images=arrays, labels=np.array([1, 0, 1, 0]))
    assert main(["data", "distill", "teacher.h5", "a.npz", "own.tfrecord"]) == 0  # arrays keep their size
    own = TFRecords("own.tfrecord", teacher=6).open(Places((project,)))
    np.testing.assert_array_equal(own.reader(9)(tf.constant(2, tf.int64)), arrays[2])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack", "nowhere", "x.rec"], "'nowhere' is not there"),
        (["pack", "faces", "x.zip"], "expected .rec or .tfrecord"),
        (["pairs", "faces", "x.txt"], "a name that ends in .bin"),
        (["pairs", "faces", "x.bin", "--pairs", "4000"], "genuine pairs"),
        (["extract", "faces", "faces"], "exists already"),
        (["distill", "model.h5", "faces", "x.rec"], "ends in .tfrecord"),
        (["align", "faces", "nothing.csv", "out"], "cannot be read"),
        (["show", "nothing.py"], "nothing.py"),
    ],
)
def test_one_line_and_nothing_left_behind(
    project: Path, folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    before = sorted(path.name for path in project.iterdir())
    assert main(["data", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    left = sorted(path.name for path in project.iterdir())
    assert left == before
