"""The commands of verification on saved embeddings: what they print, write and refuse."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from workbench import cli
from workbench.verification import embedders, ijb_files
from workbench.verification.embedders import Embedded
from workbench.verification.ijb_sample import make


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """A `.bin` of 40 images of 8 people in 60 pairs, and embeddings of it beside."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(8), 5)
    places = rng.integers(0, 40, (60, 2))
    places[::2, 1] = places[::2, 0] // 5 * 5 + (places[::2, 0] + 1) % 5
    flags = [bool(who[a] == who[b]) for a, b in places]
    images = [f"picture {place}".encode() for place in places.ravel()]
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((images, flags)))
    from workbench.data.pair_files import read_bin

    pairs = read_bin(tmp_path / "lfw.bin")
    person = np.array([int(image.split()[1]) // 5 for image in pairs.encoded])
    vectors = rng.normal(size=(8, 16))[person] + 0.7 * rng.normal(size=(len(person), 16))
    mirrored = vectors + 0.3 * rng.normal(size=vectors.shape)
    found = Embedded(vectors.astype(np.float32), mirrored.astype(np.float32), pairs.names, pairs.fingerprint)
    embedders.save(tmp_path / "lfw.npz", found)
    return tmp_path


def test_verify_prints_the_report(lfw: Path, capsys) -> None:
    status, out, err = run(capsys, "verify", lfw / "lfw.npz", "--pairs", lfw / "lfw.bin", "--far", "0.1,1e-4")
    assert status == 0
    for words in (
        "accuracy at the best threshold",
        "accuracy, 10 folds",
        "top300 (not mirrored)",
        "top_tenth",
        "TAR at FAR 0.1",
        "not said: FAR 0.0001 needs 10,000 impostor pairs",
        "EER",
        "AUC",
        "d'",
    ):
        assert words in out
    assert "embeddings are not normalised" in err


def test_verify_as_json_agrees_with_plain_numpy(lfw: Path, capsys) -> None:
    status, out, _ = run(capsys, "verify", lfw / "lfw.npz", lfw / "lfw.bin", "--json")
    assert status == 0
    found = json.loads(out)
    arrays = np.load(lfw / "lfw.npz")
    images, flags = pickle.loads((lfw / "lfw.bin").read_bytes())  # noqa: S301  our own file
    row = {}
    for image in images:
        row.setdefault(image, len(row))

    def scores(vectors: np.ndarray) -> np.ndarray:
        unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
        rows = np.array([row[image] for image in images]).reshape(-1, 2)
        return (unit[rows[:, 0]] * unit[rows[:, 1]]).sum(axis=1)

    same = np.array(flags)
    both, alone = scores(arrays["plain"] + arrays["mirrored"]), scores(arrays["plain"])
    assert found["accuracy"] == max(np.mean((both >= t) == same) for t in [*both, 2])
    impostors = sorted(alone[~same], reverse=True)[:300]
    assert found["top300"]["accuracy"] == max(np.mean((alone > t) == same) for t in impostors)
    assert found["genuine"] == same.sum()


def test_verify_writes_report_scores_and_figures(lfw: Path, capsys, tmp_path: Path) -> None:
    status, _, _ = run(
        capsys, "verify", lfw / "lfw.npz", lfw / "lfw.bin", "--out", tmp_path / "out", "--pca", 8
    )
    assert status == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.md",
        "report.json",
        "scores.npz",
        "roc.png",
        "scores.png",
    }
    kept = np.load(tmp_path / "out" / "scores.npz")
    assert kept["scores"].dtype == np.float32
    assert len(kept["scores"]) == 60


def test_accuracy_by_subgroup(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(1)
    names = [f"{k}.png" for k in range(40)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    lines = ["first,second,same,group"]
    for k in range(0, 40, 2):
        lines += [
            f"{k}.png,{k + 1}.png,1,{'old' if k < 20 else 'young'}",
            f"{k}.png,{(k + 3) % 40}.png,0,{'old' if k < 20 else 'young'}",
        ]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    vectors = np.repeat(rng.normal(size=(20, 8)), 2, 0)
    vectors[:20] += rng.normal(size=(20, 8))
    vectors[20:] += 0.1 * rng.normal(size=(20, 8))
    embedders.save(tmp_path / "e.npz", Embedded(vectors.astype(np.float32), None, names))
    status, out, _ = run(capsys, "verify", tmp_path / "e.npz", tmp_path / "list.csv", "--json")
    assert status == 0
    old, young = json.loads(out)["groups"]
    assert (old["name"], old["pairs"], old["genuine"]) == ("old", 20, 10)
    assert young["accuracy"][0] > old["accuracy"][0]
    status, out, _ = run(capsys, "verify", tmp_path / "e.npz", tmp_path / "list.csv")
    assert "of the whole set, by subgroup" in out


def test_the_similarity_of_a_few_images(tmp_path: Path, capsys) -> None:
    names = [str(tmp_path / person / "1.png") for person in ("ann", "bob", "cid")]
    for name in names:
        Path(name).parent.mkdir()
        Path(name).write_bytes(name.encode())
    vectors = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    embedders.save(tmp_path / "e.npz", Embedded(vectors, None, names))
    status, out, _ = run(capsys, "verify", tmp_path / "e.npz", *names, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["images"] == ["ann/1.png", "bob/1.png", "cid/1.png"]
    np.testing.assert_allclose(
        found["cosines"], [[1, 0, 0.5**0.5], [0, 1, 0.5**0.5], [0.5**0.5, 0.5**0.5, 1]], atol=1e-6
    )
    assert "| ann/1.png |" in run(capsys, "verify", tmp_path / "e.npz", *names)[1]


def test_ijb_prints_both_tables(tmp_path: Path, capsys) -> None:
    folder = make(tmp_path / "set", people=6, templates=4, images=3)
    names = ijb_files.read(folder).images
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(len(names), 8)).astype(np.float32)
    embedders.save(tmp_path / "e.npz", Embedded(plain, plain + 1, names))
    status, out, _ = run(capsys, "ijb", tmp_path / "e.npz", folder, "--out", tmp_path / "out")
    assert status == 0
    assert "| sample 1:1, TAR at FAR | 1e-06 | 1e-05 | 0.0001 | 0.001 | 0.01 | 0.1 | AUC |" in out
    assert "sample 1:N, G1+G2" in out
    assert "sample 1:N, mean of G1 and G2" in out
    assert out.startswith(
        "N0: features at length 1; N1: lengths kept, as InsightFace names them (Keras_insightface"
    )
    assert "N1D1F1" in out
    assert (tmp_path / "out" / "roc.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "out" / "tables.json").read_text())
    assert found["one_to_one"]["N0D0F0"]["1e-06"] is None
    assert 0 <= found["one_to_many"]["G1"]["N0D0F0"]["rank 1"] <= 1


def test_ijb_sets_several_models_side_by_side(tmp_path: Path, capsys) -> None:
    folder = make(tmp_path / "set", people=6, templates=4, images=3)
    names = ijb_files.read(folder).images
    rng = np.random.default_rng(0)
    for model in ("good", "poor"):
        plain = rng.normal(size=(len(names), 8)).astype(np.float32)
        embedders.save(tmp_path / f"{model}.npz", Embedded(plain, plain + 1, names))
    paths = [tmp_path / "good.npz", tmp_path / "poor.npz"]
    status, out, _ = run(capsys, "ijb", *paths, folder, "--out", tmp_path / "out", "--reading", "n0d0f0")
    assert status == 0
    rows = [line for line in out.splitlines() if line.startswith("| ") and ".npz" in line]
    assert "| sample 1:1, N0D0F0, TAR at FAR | 1e-06" in out
    assert len(rows) == 2 * (1 + out.count("sample 1:N"))
    assert any("**" in row for row in rows)
    found = json.loads((tmp_path / "out" / "tables.json").read_text())
    assert (found["set"], found["reading"], len(found["models"])) == ("sample", "N0D0F0", 2)
    alone = run(capsys, "ijb", paths[1], folder, "--json")[1]
    assert json.loads(alone)["one_to_one"] == found["models"][json.loads(alone)["model"]]["one_to_one"]
    wrong = run(capsys, "ijb", *paths, folder, "--reading", "N2")
    assert wrong[0] == 2
    assert "N1D1F1" in wrong[2]
    assert run(capsys, "ijb", paths[0], paths[0], folder)[0] == 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (lambda n: {"other": np.zeros(3)}, "holds other [3]"),
        (lambda n: {"plain": np.zeros((0, 3))}, "holds plain [0, 3]"),
        (lambda n: {"plain": np.ones((2, 3)), "names": np.array(["a", "a"])}, "holds a name twice"),
        (lambda n: {"plain": np.ones((2, 3)), "names": np.array(["a"])}, "arrays are of different lengths"),
        (lambda n: {"plain": np.full((n, 3), np.nan)}, "N of N embeddings are not finite"),
        (lambda n: {"plain": np.zeros((n, 3))}, "N of N embeddings are zero"),
        (lambda n: {"plain": np.ones((n - 1, 3))}, "embeddings for N images"),
        (lambda n: {"plain": np.ones((n, 3)), "names": np.arange(n).astype(str)}, "no embedding of 'image"),
        (
            lambda n: {"plain": np.ones((n, 3)), "fingerprint": "1", "names": np.arange(n).astype(str)},
            "of other images",
        ),
    ],
)
def test_bad_embeddings_are_one_line_and_status_2(lfw: Path, capsys, arrays, message: str) -> None:
    count = len(np.load(lfw / "lfw.npz")["names"])
    np.savez(lfw / "bad.npz", **arrays(count))
    status, out, err = run(capsys, "verify", lfw / "bad.npz", lfw / "lfw.bin")
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert message.replace("N", str(count)) in err


def test_a_file_that_is_no_archive_is_refused(lfw: Path, capsys) -> None:
    (lfw / "bad.npz").write_bytes(b"nothing")
    status, _, err = run(capsys, "verify", lfw / "bad.npz", lfw / "lfw.bin")
    assert status == 2
    assert "bad.npz: is damaged" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "x.npz"), "nothing to verify on"),
        (("verify", "x.npz", "nowhere.bin"), "nowhere.bin: is not there"),
        (("verify", "nosuchrun", "lfw.bin"), "no run 'nosuchrun'"),
        (("verify", "gone.onnx", "lfw.bin"), "gone.onnx: is not there"),
        (("verify", "lfw.bin", "lfw.bin"), "lfw.bin: is not a model"),
        (("verify", "lfw.npz", "lfw.bin", "--far", "often"), "often are not rates"),
        (("verify", "lfw.npz", "lfw.bin", "--far", "2"), "false accept rate 2"),
        (("verify", "lfw.npz", "lfw.bin", "--pca", "99"), "99 principal components; expected 1 to 16"),
        (("errors", "nosuchrun"), "no run 'nosuchrun'"),
        (("ijb", "lfw.npz", "nowhere"), "no list of templates"),
        (("identify", "lfw.npz", "nowhere", "lfw.bin"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    lfw: Path, capsys, monkeypatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(lfw)
    (lfw / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (lfw / "mlruns").mkdir(exist_ok=True)
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert len(err.strip().splitlines()) == 1
