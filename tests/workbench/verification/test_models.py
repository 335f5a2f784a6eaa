"""One interface over every form of a model: the same network gives the same embeddings in each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench import cli
from workbench.errors import DataError
from workbench.verification.embedders import ImageSet

pytestmark = pytest.mark.tensorflow

SIZE = 16
PIXELS = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


def images(pixels: np.ndarray = PIXELS) -> ImageSet:
    return ImageSet([str(k) for k in range(len(pixels))], lambda size: pixels, "f")


@pytest.fixture(scope="module")
def network():
    import tensorflow as tf

    tf.keras.utils.set_random_seed(3)
    inputs = tf.keras.Input([SIZE, SIZE, 3])
    outputs = tf.keras.layers.Conv2D(4, 3, 2, activation="relu")(inputs)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(6)(tf.keras.layers.Flatten()(outputs)))


@pytest.fixture(scope="module")
def files(network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models")
    network.save(folder / "model.h5")
    network.save(folder / "model.keras")
    tf.saved_model.save(network, str(folder / "saved"))
    (folder / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    small = tf.lite.TFLiteConverter.from_keras_model(network)
    small.optimizations = [tf.lite.Optimize.DEFAULT]
    inputs = (PIXELS.astype(np.float32) - 127.5) / 128
    small.representative_dataset = lambda: ([row[None]] for row in inputs)
    small.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    small.inference_input_type = small.inference_output_type = tf.int8
    (folder / "small.tflite").write_bytes(small.convert())
    return folder


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "saved", "model.tflite"])
def test_every_form_gives_the_embeddings_of_the_network(network, files: Path, name: str) -> None:
    from workbench.verification import models

    expected = network((PIXELS.astype(np.float32) - 127.5) / 128, training=False).numpy()
    mirrored = network((PIXELS[:, :, ::-1].astype(np.float32) - 127.5) / 128, training=False).numpy()
    embedder = models.from_file(str(files / name))
    found = embedder.embed(images())
    np.testing.assert_allclose(found.plain, expected, atol=1e-5)
    np.testing.assert_allclose(found.mirrored, mirrored, atol=1e-5)
    more = embedder.embed(images(np.concatenate([PIXELS] * 40)))  # another batch size, the last one filled up
    np.testing.assert_allclose(more.plain[-5:], expected, atol=1e-5)
    assert "not normalised" in found.messages[0]


def test_quantised_numbers_are_scaled_as_the_file_says(network, files: Path) -> None:
    from workbench.verification import models

    expected = network((PIXELS.astype(np.float32) - 127.5) / 128, training=False).numpy()
    found = models.from_file(str(files / "small.tflite")).embed(images()).plain
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.99


@pytest.mark.parametrize("first", [False, True])
def test_onnx_with_channels_last_or_first(network, tmp_path: Path, first: bool) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    tf2onnx = pytest.importorskip("tf2onnx")
    from workbench.verification import models

    names = {"inputs_as_nchw": [network.inputs[0].name]} if first else {}
    made, _ = tf2onnx.convert.from_keras(network, opset=13, **names)
    onnx.save(made, tmp_path / "model.onnx")
    expected = network((PIXELS.astype(np.float32) - 127.5) / 128, training=False).numpy()
    found = models.from_file(str(tmp_path / "model.onnx")).embed(images())
    np.testing.assert_allclose(found.plain, expected, atol=1e-5)
    mirrored = models.from_file(str(tmp_path / "model.onnx")).embed(images(PIXELS[:, :, ::-1]))
    np.testing.assert_allclose(mirrored.plain, found.mirrored, atol=1e-5)


def test_a_model_on_raw_grey_levels(network) -> None:
    from workbench.verification import models

    found = models.from_keras(network, "model", values="raw").embed(images())
    np.testing.assert_allclose(
        found.plain, network(PIXELS.astype(np.float32), training=False).numpy(), rtol=1e-4
    )


def test_models_of_another_kind_are_refused(files: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from workbench.verification import models

    def model(shape: list[int | None], output: str = "flat"):
        inputs = tf.keras.Input(shape)
        made = tf.keras.layers.GlobalAveragePooling2D()(inputs) if output == "flat" else inputs
        return tf.keras.Model(inputs, made)

    with pytest.raises(DataError, match=r"takes input of shape \[16, 24, 3\]; expected square colour images"):
        models.from_keras(model([16, 24, 3]), "wide")
    with pytest.raises(DataError, match=r"takes input of shape \[16, 16, 1\]"):
        models.from_keras(model([16, 16, 1]), "grey")
    with pytest.raises(DataError, match="leaves the size of its input open; say it with --size"):
        models.from_keras(model([None, None, 3]), "open")
    with pytest.raises(DataError, match="takes images of 16 x 16; expected 32 x 32 as asked"):
        models.from_keras(model([16, 16, 3]), "fixed", 32)
    assert models.from_keras(model([None, None, 3]), "open", 16).embed(images()).plain.shape == (5, 3)
    with pytest.raises(
        DataError, match=r"5 images give an output of shape \[5, 16, 16, 3\]; expected an embedding"
    ):
        models.from_keras(model([16, 16, 3], "map"), "map").embed(images())
    for name in ("bad.onnx", "bad.tflite", "bad.h5"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            models.from_file(str(tmp_path / name))
    with pytest.raises(DataError, match="is not a model"):
        models.from_file(str(tmp_path))


def people(folder: Path, count: int = 4) -> Path:
    from workbench.data.sources import face_drawing

    drawn = face_drawing.draw(0, np.repeat(np.arange(count), 3), np.tile(np.arange(3), count), 32, 0.5, 0, 4)
    for number, pixels in enumerate(drawn):
        path = folder / f"p{number // 3}" / f"{number % 3}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def test_a_folder_of_people(files: Path, tmp_path: Path, capsys) -> None:
    folder = people(tmp_path / "people")
    arguments = ["verify", str(files / "model.h5"), str(folder), "--json"]
    assert cli.main([*arguments, "--save-embeddings", str(tmp_path / "kept.npz")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["genuine"]) == (66, 12)
    assert cli.main(["verify", str(tmp_path / "kept.npz"), str(folder), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {**again, "model": ""} == {**found, "model": ""}
    assert cli.main([*arguments, "--sample", "20"]) == 0
    assert json.loads(capsys.readouterr().out)["genuine"] == 10
    pictures = [str(folder / "p0" / "0.png"), str(folder / "p1" / "2.png")]
    known = ["identify", str(files / "model.h5"), str(folder), *pictures, "--fpir", "0.2", "--json"]
    assert cli.main(known) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    assert [answer["person"] for answer in answers] == ["p0", "p1"]
    assert cli.main(["identify", str(files / "model.h5"), str(folder), *pictures, "--fpir", "0.01"]) == 2
    assert "FPIR 0.01 needs 100 known images, there are 12" in capsys.readouterr().err


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project with one run in its record: untrained weights, and the scores of its set."""
    from workbench import GDC, SGD, Experiment, HeldOutPairs, MobileFaceNet, Softmax, Stage, SyntheticFaces
    from workbench.models.build import build_model
    from workbench.spec.interfaces import Places
    from workbench.tracking.journal import JournalWriter
    from workbench.tracking.rows import StartRecord
    from workbench.tracking.store import find_store
    from workbench.train import checkpoint, checkpoint_file
    from workbench.verification.evaluator import Evaluator

    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text('[project]\nname = "scratch"\n')
    experiment = Experiment(
        data=SyntheticFaces(identities=8, images=5, image_size=32),
        evaluate=HeldOutPairs(identities=4, name="unseen"),
        backbone=MobileFaceNet(image_size=32, width=0.25),
        embedding=GDC(size=8),
        stages=Stage(loss=Softmax(), epochs=1),
        optimizer=SGD(),
        learning_rate=0.1,
        batch_size=8,
    )
    store, run = find_store(None, folder), "20260101T000000Z-0a1b2c3d"
    store.journals.mkdir(parents=True)
    with JournalWriter(store.journal(run)) as journal:
        journal.append(StartRecord(run=run, id=experiment.id, study="x", spec=experiment.to_json()))
    network = build_model(experiment)
    arrays = {f"embedder/{k:05d}": variable.numpy() for k, variable in enumerate(network.variables)}
    checkpoint_file.write(
        store.run_checkpoints(run) / checkpoint_file.BEST, checkpoint.State(arrays, {"epoch": 3})
    )
    (part,) = experiment.sets
    evaluator = Evaluator.open(part, Places((folder,)), experiment.data, 32)
    scores = evaluator.evaluate(network).scores
    kept = store.run_artifacts(run) / "scores" / "best"
    kept.mkdir(parents=True)
    np.savez_compressed(kept / "unseen.npz", scores=scores, epoch=1)
    return folder, run


def test_a_run_is_verified_as_it_was_measured(project, capsys, monkeypatch, tmp_path: Path) -> None:
    folder, run = project
    monkeypatch.chdir(folder)
    assert cli.main(["verify", run[:12], str(people(tmp_path / "people")), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == f"run {run} (best, epoch 3)"
    assert found["genuine"] == 12


def test_the_worst_errors_of_a_run(project, capsys, monkeypatch) -> None:
    folder, run = project
    monkeypatch.chdir(folder)
    assert cli.main(["errors", run, "--count", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    sheet = Image.open(folder / found["sheet"])
    assert sheet.size[0] > 600
    assert np.asarray(sheet.convert("L")).std() > 20
    scores = np.load(
        folder / "mlruns" / "journal" / f"{run}.d" / "artifacts" / "scores" / "best" / "unseen.npz"
    )["scores"]
    assert [row["score"] for row in found["impostors"]] == sorted(
        (row["score"] for row in found["impostors"]), reverse=True
    )
    assert found["genuine"][0]["score"] >= scores.min()
    assert all(row["images"][0].split("/")[0] == row["images"][1].split("/")[0] for row in found["genuine"])
    assert all(row["images"][0].split("/")[0] != row["images"][1].split("/")[0] for row in found["impostors"])
    assert cli.main(["errors", run, "--set", "lfw"]) == 2
    assert "no evaluation set 'lfw'" in capsys.readouterr().err
    assert cli.main(["errors", run, "--which", "last"]) == 2
    assert "keeps no last scores of unseen" in capsys.readouterr().err
