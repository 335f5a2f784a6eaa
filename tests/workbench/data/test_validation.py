"""An official test split as the validation set: its labels, its measures, and where Keras keeps such data."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import tiny

import workbench
from workbench import Digits, KerasData, Pairs, Softmax, SyntheticFaces
from workbench.cli import main
from workbench.data.sources.keras_data import BATCHES, read_batches
from workbench.errors import DataError, SpecError
from workbench.pixels import normalise_array
from workbench.spec.datasets import Places
from workbench.spec.part import from_json
from workbench.spec.quick import HELD_OUT, quick_variant
from workbench.spec.variant import Variant

NOWHERE = Places((Path("/nowhere"),))
FACES = SyntheticFaces(identities=8, images=8)


def test_labelled_images_among_the_evaluation_sets_become_the_validation_set() -> None:
    test = SyntheticFaces(identities=8, images=4, seed=1)
    spec = tiny(data=FACES, evaluate=(Pairs("lfw.bin"), test))
    assert spec.evaluate == (Pairs("lfw.bin"),)
    assert spec.validation == test
    assert spec == tiny(data=FACES, evaluate=Pairs("lfw.bin"), validation=test)
    assert from_json(spec.to_json()) == spec
    assert tiny(data=FACES, evaluate=test).selector() == "val_accuracy"
    assert tiny(data=FACES, evaluate=test).id != tiny(data=FACES).id
    assert set(spec.read) == {FACES, test, Pairs("lfw.bin")}


def test_two_validation_sets_and_one_beside_hold_out_are_refused() -> None:
    one, other = SyntheticFaces(images=4), SyntheticFaces(images=5)
    with pytest.raises(SpecError, match="two sets of labelled images"):
        tiny(data=FACES, evaluate=(one, other))
    with pytest.raises(SpecError, match="hold_out= beside validation="):
        tiny(data=FACES.but(hold_out=0.25), validation=one)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_keras_data_is_found_where_keras_keeps_it(name: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    part = KerasData(name)
    words = part.missing(NOWHERE)
    assert words and str(tmp_path / "datasets") in words and "a run lets Keras download it" in words
    stem = {"mnist": "mnist.npz", "fashion_mnist": "fashion-mnist", "cifar10": "cifar-10-batches-py"}
    (tmp_path / "datasets" / stem.get(name, "cifar-100-python")).mkdir(parents=True)
    assert part.missing(NOWHERE) is None


def test_without_keras_home_it_is_the_home_folders(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(tmp_path / ".keras" / "datasets" / "mnist.npz") in str(KerasData("mnist").missing(NOWHERE))


def test_a_missing_validation_set_is_replaced_by_a_part_of_the_data() -> None:
    test = KerasData("mnist", subset="test")
    spec = tiny(data=Digits(), validation=test.but(name="cifar10"))
    small = quick_variant(Variant("x", spec), NOWHERE).experiment
    if spec.validation is not None and spec.validation.missing(NOWHERE):
        assert small.validation is None
        assert small.data.hold_out == HELD_OUT
        assert small.selector() == "val_accuracy"


def planted(home: Path, images: int = 60, tests: int = 20) -> None:
    """Put small files in the form of Fashion-MNIST where Keras looks for it."""
    folder = home / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem, count in (("train", images), ("t10k", tests)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        pixels = np.clip(labels[:, None] * 25 + rng.integers(0, 20, (count, 784)), 0, 255).astype(np.uint8)
        for kind, content in (
            ("labels-idx1", bytes(8) + labels.tobytes()),
            ("images-idx3", bytes(16) + pixels.tobytes()),
        ):
            (folder / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))


def planted_mnist(home: Path, images: int = 40, tests: int = 20) -> Path:
    """Put drawn images in the form of MNIST where Keras looks for it; Keras itself would refuse their check sum."""
    path = home / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True, exist_ok=True)  # Keras makes it when it is imported
    arrays: dict[str, Any] = {}
    for stem, count in (("train", images), ("test", tests)):
        arrays[f"y_{stem}"] = labels = (np.arange(count) % 10).astype(np.uint8)
        arrays[f"x_{stem}"] = np.repeat(labels * 25, 28 * 28).reshape(count, 28, 28)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("name", "folder", "files", "key"),
    [
        ("cifar10", "cifar-10-batches-py", [f"data_batch_{n}" for n in range(1, 6)], b"labels"),
        ("cifar100", "cifar-100-python", ["train"], b"fine_labels"),
    ],
)
def test_unpacked_cifar_is_read_without_its_archive(
    name: Any, folder: str, files: list[str], key: bytes, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    place = tmp_path / "datasets" / folder
    place.mkdir(parents=True)
    pixels = np.arange(3 * 3072, dtype=np.int64).reshape(3, 3072).astype(np.uint8)
    for number, file in enumerate(files):
        content = {b"data": pixels, key: [number, 9, 0], b"filenames": [b"a.png"] * 3}
        (place / file).write_bytes(pickle.dumps(content, protocol=2))
    images = KerasData(name).open(NOWHERE)
    assert images.labels.tolist() == [label for number in range(len(files)) for label in (number, 9, 0)]
    (read, _), channels_last = read_batches(place, *BATCHES[name], "train"), (0, 2, 3, 1)
    np.testing.assert_array_equal(read[:3], pixels.reshape(3, 3, 32, 32).transpose(channels_last))
    (place / files[-1]).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match="os.system.*nothing in it was run.*then Keras downloads it"):
        KerasData(name).open(NOWHERE)
    (place / files[-1]).unlink()
    with pytest.raises(DataError, match=f"{files[-1]}: cannot be read"):
        KerasData(name).open(NOWHERE)


def test_a_cached_file_is_read_as_it_is_and_never_removed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = planted_mnist(tmp_path)
    assert np.bincount(KerasData("mnist").open(NOWHERE).labels).tolist() == [4] * 10
    assert len(KerasData("mnist", subset="test").open(NOWHERE).labels) == 20
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"mnist.npz: is damaged.*or remove .* then Keras downloads it"):
        KerasData("mnist").open(NOWHERE)
    assert path.exists()
    np.savez(path, x_train=np.zeros((2, 28, 28), np.uint8), y_train=np.array([0, 10]))
    with pytest.raises(DataError, match="for each a class of 0 to 9"):
        KerasData("mnist").open(NOWHERE)


SPEC = '''"""Does a plain classifier keep to the official test split?"""
from workbench import Adam, Dense, Experiment, Features, KerasData, MLP, Softmax, Stage

experiment = Experiment(
    data=KerasData("fashion_mnist"), evaluate=KerasData("fashion_mnist", subset="test"),
    backbone=MLP(units=(16,), dropout=0.4), embedding=Features(),
    stages=Stage(loss=Softmax(head=Dense()), epochs=2), optimizer=Adam(), learning_rate=0.01, batch_size=20,
    log_model="none",
)
'''


@pytest.mark.tensorflow
def test_a_run_measures_the_test_split_each_epoch(project: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("KERAS_HOME", str(project / "keras"))
    (project / "study.py").write_text(SPEC)
    planted(project / "keras")
    assert main(["run", "study.py", "--json"]) == 0, capsys.readouterr().err
    said = json.loads(capsys.readouterr().out)
    (journal,) = (project / "mlruns" / "journal").glob("*.jsonl")
    rows = [json.loads(line[9:]) for line in journal.read_text().splitlines()]
    assert all(
        {"val_loss", "val_accuracy", "accuracy"} <= set(r["metrics"]) for r in rows if r["kind"] == "epoch"
    )
    measured = [r["metrics"]["val_accuracy"] for r in rows if r["kind"] == "epoch"]
    assert said["best"]["val_accuracy"]["value"] == max(measured)
    assert all(round(20 * value, 4) % 1 == 0 for value in measured)  # of the 20 test images, not of others
    assert "validation" in rows[0]["provenance"]["data"]


@pytest.mark.tensorflow
def test_a_set_of_keras_runs_at_full_and_quick_and_says_where_it_is_not(
    project: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(project / "keras"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no test downloads anything
    (project / "study.py").write_text(SPEC.replace("fashion_mnist", "mnist"))
    assert main(["run", "study.py"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"looked for {project / 'keras' / 'datasets' / 'mnist.npz'}" in said
    assert not list((project / "mlruns" / "journal").glob("*.jsonl"))
    planted_mnist(project / "keras")
    for quick in ([], ["--quick"]):
        assert main(["run", "study.py", "--json", *quick]) == 0, capsys.readouterr().err
        value = json.loads(capsys.readouterr().out)["best"]["val_accuracy"]["value"]
        assert round(20 * value, 4) % 1 == 0  # of the 20 test images
    run = workbench.runs("study")[0]
    images = run.images(4)
    shares = np.asarray(run.model(outputs="probabilities")(normalise_array(images)))
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(run.predict(images)["probability"], shares.max(1), atol=1e-5)
    assert run.model(outputs="logits").output_shape == (None, 10)


@pytest.mark.tensorflow
def test_labels_follow_the_names_of_the_training_data(tmp_path: Path) -> None:
    from workbench.train.run_data import RunData

    test = SyntheticFaces(identities=3, images=2, first=4)
    data = RunData(tiny(data=FACES, validation=test), Places((tmp_path,), tmp_path))
    plan = tiny(data=FACES, validation=test).plans()[0]
    labels = np.concatenate([row[1].numpy() for row in data.hold_out(plan)])  # type: ignore[union-attr]
    assert labels.tolist() == [4, 4, 5, 5, 6, 6]
    with pytest.raises(DataError, match="1 of its 3 identities are not in the training data, 'person0008'"):
        RunData(tiny(data=FACES, validation=test.but(first=6)), Places((tmp_path,), tmp_path))


@pytest.mark.tensorflow
def test_a_validation_set_without_the_losses_teacher_gives_its_accuracy_alone(tmp_path: Path) -> None:
    from workbench import DistillLogits, Stage
    from workbench.models.build import build_model
    from workbench.train.run_data import RunData
    from workbench.train.trainer import Trainer

    spec = tiny(
        data=FACES.but(teacher=8),
        validation=FACES,
        stages=Stage(loss=DistillLogits(), epochs=1),
        batch_size=8,
    )
    data, plan = RunData(spec, Places((tmp_path,), tmp_path)), spec.plans()[0]
    trainer = Trainer(build_model(spec))
    trainer.begin_stage(plan, 1, 8, 8)
    assert set(trainer.measure(data.hold_out(plan))) == {"val_accuracy"}
    taught = spec.but(validation=FACES.but(teacher=8))
    assert set(trainer.measure(RunData(taught, Places((tmp_path,), tmp_path)).hold_out(plan))) == {
        "val_accuracy",
        "val_loss",
    }
    assert Softmax.needs_teacher is False
