"""A run as a classifier: logits and probabilities of every head, exports with classes, the confusion matrix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench import Dense, Euclidean, Normalised, Sampled, SubCenter
from workbench.cli import main
from workbench.errors import RecordError
from workbench.spec.part import part
from workbench.train.classifier import require_known_logits
from workbench.verification.confusion import confusion
from workbench.verification.top_errors import most_confident_errors

SPEC = '''"""Who is taken for whom?"""
from workbench import (MLP, Adam, AdaCos, ArcFace, Center, Dense, Digits, Euclidean, Experiment, Features, Linear,
                       MarginSoftmax, Softmax, Stage, SubCenter)

base = Experiment(
    name="dense", data=Digits(hold_out=0.2), backbone=MLP(image_size=8, units=(32,)), embedding=Features(),
    stages=Stage(loss=Softmax(head=Dense()), epochs=2), optimizer=Adam(), learning_rate=0.01, batch_size=32,
    log_model="none",
)
experiments = [
    base,
    base.but(name="angles", stages=Stage(loss=ArcFace(scale=16), epochs=2), embedding=Linear(size=16)),
    base.but(name="centers", stages=Stage(loss=ArcFace(scale=16, head=SubCenter(centers=2)), epochs=1)),
    base.but(name="adacos", stages=Stage(loss=AdaCos(), epochs=1)),
    base.but(name="points", stages=Stage(loss=Softmax(head=Euclidean()), epochs=1)),
    base.but(name="power", stages=Stage(loss=MarginSoftmax(head=Dense()), epochs=1)),
    base.but(name="sum", stages=Stage(loss=ArcFace(scale=16) + 0.1 * Center(), epochs=1)),
    base.but(name="none", stages=Stage(loss=Center(), epochs=1), select="loss"),
]
'''
NAMES = ("dense", "angles", "centers", "adacos", "points", "power", "sum", "none")


def test_a_matrix_counts_and_its_rows_say_what_is_taken_for_what() -> None:
    labels, found = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 1, 1, 1, 2, 3])
    result = confusion(labels, found, ["a", "b", "c", "d"])
    assert result.counts.tolist() == [[1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert result.accuracy == 3 / 6
    rows = result.per_class()
    assert [row["class"] for row in rows] == ["a", "b", "d"]  # c has no images
    assert rows[0] == {"class": "a", "images": 3, "accuracy": 1 / 3, "taken_for": "b", "times": 2}
    assert (rows[2]["taken_for"], rows[2]["times"]) == (None, 0)


@part
class Bent(Dense):
    """Logits that no dense layer gives."""

    def logits(self, embeddings: Any, labels: Any, weights: dict[str, Any], step: Any) -> Any:
        values, labels = super().logits(embeddings, labels, weights, step)
        return values**3, labels


@part
class Renamed(Dense):
    """Logits of a dense layer."""


def test_logits_of_a_head_of_ones_own_are_refused_instead_of_being_wrong() -> None:
    with pytest.raises(RecordError, match="Bent computes logits in a way of its own"):
        require_known_logits(Bent(), "run")
    for head in (Renamed(), Dense(), Normalised(), SubCenter(), Sampled(), Euclidean()):
        require_known_logits(head, "run")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A project with a short run of each variant, and the names of the runs."""
    folder = tmp_path_factory.mktemp("classes")
    (folder / "mlruns").mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "scratch"\n')
    (folder / "s.py").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # One by one in this process: together, each would start TensorFlow in a process of its own.
        for name in NAMES:
            assert main(["run", "s.py", name]) == 0
    found = {}
    for path in (folder / "mlruns" / "journal").glob("*.jsonl"):
        start = json.loads(path.read_text().splitlines()[0][9:])
        found[start["name"]] = path.stem
    return folder, found


def numbers(name: str, runs: Any) -> tuple[Any, np.ndarray, np.ndarray, Any]:
    """The run, images, their embeddings, and the arrays of its last checkpoint."""
    from workbench.train import checkpoint_file
    from workbench.train.from_record import load_model, open_run

    found = open_run(runs[1][name])
    images = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, 3)).astype(np.float32)
    embeddings = load_model(found.experiment, found.checkpoints, "last")(images).numpy()
    return found, images, embeddings, checkpoint_file.newest(found.checkpoints).arrays  # type: ignore[union-attr]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["dense", "angles", "centers", "adacos", "points"])
def test_logits_and_probabilities_are_those_of_the_head(name: str, runs: Any, monkeypatch: Any) -> None:
    from workbench.train.from_record import load_model

    monkeypatch.chdir(runs[0])
    found, images, x, arrays = numbers(name, runs)
    w = arrays["head/00000"]
    expected = {
        "dense": lambda: x @ w.T + arrays["head/00001"],
        "angles": lambda: 16 * unit(x) @ unit(w).T,
        "centers": lambda: 16 * (unit(x) @ unit(w).T).reshape(5, 10, 2).max(axis=2),
        "adacos": lambda: float(arrays["loss.adacos_loss/00000"]) * unit(x) @ unit(w).T,
        "points": lambda: x @ w.T - (w**2).sum(1) / 2,
    }[name]()
    logits = load_model(found.experiment, found.checkpoints, "last", "logits")(images).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    powers = np.exp(expected - expected.max(axis=1, keepdims=True))
    shares = load_model(found.experiment, found.checkpoints, "last", "probabilities")(images).numpy()
    np.testing.assert_allclose(shares, powers / powers.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-5)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["dense", "angles", "adacos", "power", "sum"])
def test_a_notebook_predicts_with_the_scale_of_the_softmax(name: str, runs: Any, monkeypatch: Any) -> None:
    import workbench

    monkeypatch.chdir(runs[0])
    run = workbench.find(runs[1][name])
    images = run.images(6)
    model = run.model("last", "probabilities")
    shares = model((images.astype(np.float32) - 127.5) / 128).numpy()
    found = run.predict(images, "last")
    assert found["label"].tolist() == shares.argmax(axis=1).tolist()
    np.testing.assert_allclose(found["probability"], shares.max(axis=1), rtol=1e-3)


@pytest.mark.tensorflow
def test_a_confusion_matrix_holds_what_the_run_held_out(runs: Any, monkeypatch: Any, capsys: Any) -> None:
    folder, names = runs
    monkeypatch.chdir(folder)
    assert main(["confusion", names["dense"], "--json", "--which", "last", "-o", "m.png"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["names"] == [str(digit) for digit in range(10)]
    assert said["images"] == sum(map(sum, said["counts"])) == sum(row["images"] for row in said["classes"])
    journal = folder / "mlruns" / "journal" / f"{names['dense']}.jsonl"
    rows = [json.loads(line[9:]) for line in journal.read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "epoch"][-1]["metrics"]
    assert said["accuracy"] == pytest.approx(last["val_accuracy"], abs=1e-6)
    assert (folder / "m.png").stat().st_size > 10_000
    assert main(["confusion", names["dense"], "--data", "Digits()"]) == 0
    assert "of 1797 images; picture: confusion.png" in capsys.readouterr().out
    assert main(["confusion", names["none"]]) == 2
    assert "has no classification head" in capsys.readouterr().err


@pytest.mark.tensorflow
def test_the_worst_errors_of_a_classifier_are_drawn(
    runs: Any, monkeypatch: Any, capsys: Any, tmp_path: Path
) -> None:
    from workbench.commands.ui_board import BoardOptions, board_of
    from workbench.tracking.store import find_store

    folder, names = runs
    monkeypatch.chdir(folder)
    assert main(["confusion", names["dense"], "--json"]) == 0
    counts = np.array(json.loads(capsys.readouterr().out)["counts"])
    assert main(["errors", names["dense"], "--count", "5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["images"], said["wrong"]) == (counts.sum(), counts.sum() - np.trace(counts))
    assert len(said["errors"]) == min(5, said["wrong"])
    sure = [row["confidence"] for row in said["errors"]]
    assert sure == sorted(sure, reverse=True)
    assert all(counts[int(row["true"]), int(row["predicted"])] for row in said["errors"])
    assert all(row["true"] != row["predicted"] for row in said["errors"])
    assert (folder / "errors_classes.png").stat().st_size > 5000
    assert main(["errors", names["dense"]]) == 0
    assert "held-out images predicted wrongly (best, epoch " in capsys.readouterr().out
    assert main(["errors", names["none"]]) == 2
    assert "has no classification head" in capsys.readouterr().err

    with board_of(find_store(), [names["dense"]], BoardOptions(errors=True)) as board:
        assert board.tab == "images"
        (events,) = board.root.glob("*/errors_classes/*tfevents*")
        assert b"worst errors/classes" in events.read_bytes()
    assert capsys.readouterr().err == ""


def test_the_most_confident_errors_come_first() -> None:
    true, predicted = np.array([0, 1, 2, 3, 4]), np.array([0, 2, 2, 1, 0])
    confidence = np.array([0.99, 0.4, 0.9, 0.8, 0.5])
    assert most_confident_errors(true, predicted, confidence, 2).tolist() == [3, 4]
    assert most_confident_errors(true, predicted, confidence, 9).tolist() == [3, 4, 1]
    assert most_confident_errors(true, true, confidence, 9).tolist() == []


@pytest.mark.tensorflow
def test_an_export_with_probabilities_names_its_classes(runs: Any, monkeypatch: Any, capsys: Any) -> None:
    import tensorflow as tf

    folder, names = runs
    monkeypatch.chdir(folder)
    words = [
        "export",
        names["angles"],
        "--outputs",
        "probabilities",
        "--format",
        "h5",
        "--wrap",
        "--out",
        "e",
    ]
    assert main([*words, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["exports"][-1]
    assert row["largest_difference"] < 1e-5
    (classes,) = (folder / "e").glob("*_probabilities_classes.json")
    assert json.loads(classes.read_text()) == [str(digit) for digit in range(10)]
    loaded = tf.keras.models.load_model(row["file"], compile=False)
    shares = loaded(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)).numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert main(["export", row["file"], "--outputs", "logits"]) == 2
    assert "a run, which has its head" in capsys.readouterr().err
