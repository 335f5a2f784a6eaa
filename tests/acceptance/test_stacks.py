"""Records cross: what one stack trained, stopped and exported, the other goes on with, reads and compares.

It needs an environment of each: `make test` in two of them, then
`WORKBENCH_OTHER_PYTHON=.venv-3.13/bin/python .venv/bin/python -m pytest tests/acceptance/test_stacks.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.tracking.journal import read_journal

OTHER = os.environ.get("WORKBENCH_OTHER_PYTHON", "")
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(not OTHER, reason="WORKBENCH_OTHER_PYTHON names no interpreter of the other stack"),
]
PYTHONS = {"here": sys.executable, "there": OTHER}
RUNS = {
    "sgd": ("20260101T000000Z-0000000a", "20260101T000000Z-0000000b"),
    "ranger": ("20260101T000001Z-0000000a", "20260101T000001Z-0000000b"),
}
SPEC = '''"""Does a run cross?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
from workbench import Adam, Decoupled, HeldOutPairs, Lookahead, RectifiedAdam
base = tiny(evaluate=HeldOutPairs(identities=3, pairs=24, name="unseen"))
experiments = [
    base.but(name="sgd"),
    base.but(name="ranger", optimizer=Lookahead(optimizer=RectifiedAdam()), weight_decay=Decoupled(5e-4)),
]
'''
LOAD = """
import sys, numpy as np
from workbench.models.load_keras import load_keras
images = np.random.default_rng(0).uniform(-1, 1, [4, 32, 32, 3]).astype("float32")
for path in sys.argv[2:]:
    if path.endswith("_saved_model"):
        from workbench.lazy import tf
        loaded = tf.saved_model.load(path)  # held, or its variables are gone before the call
        found = loaded.serve(images)
    else:
        found = load_keras(path)(images)
    np.save(sys.argv[1] + "/" + path.replace("/", "_") + ".npy", np.asarray(found))
"""
SAVE = "import sys; from workbench.models.load_keras import load_keras; load_keras(sys.argv[1]).save(sys.argv[2])"


def begin(who: str, folder: Path, root: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_USE_LEGACY_KERAS", None)
    return subprocess.Popen(
        [PYTHONS[who], *words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def done(who: str, folder: Path, root: Path, *words: str) -> str:
    """Run a command of one stack to its end and return what it said."""
    process = begin(who, folder, root, *words)
    out, _ = process.communicate(timeout=900)
    assert process.returncode == 0, out
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "experiments").mkdir()
    (folder / "mlruns").mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "scratch"\n')
    (folder / "experiments" / "study.py").write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    return folder


def rows(folder: Path, run: str) -> list[dict[str, float]]:
    return [
        dict(row.metrics) for row in read_journal(folder / "mlruns" / "journal" / f"{run}.jsonl").accepted()
    ]


@pytest.mark.parametrize("first, then, variant", [("here", "there", "sgd"), ("there", "here", "ranger")])
def test_a_run_stopped_on_one_stack_goes_on_with_the_other(place, root, variant, first, then):
    run, whole = RUNS[variant]
    words = ["-m", "workbench", "run", "experiments/study.py", variant, "--run-name"]
    process = begin(first, place, root, *words, run)
    for line in process.stdout:
        if line.startswith("epoch 3/5"):
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=1200)
    assert process.returncode == 75
    out = done(then, place, root, "-m", "workbench", "resume", run)
    assert out.count("bits may differ") == 1
    done(first, place, root, *words, whole)
    mine, theirs = rows(place, run), rows(place, whole)
    assert [sorted(row) for row in mine] == [sorted(row) for row in theirs]
    losses = [[row["loss"] for row in of] for of in (mine, theirs)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)
    checked = done(then, place, root, "-m", "workbench", "rerun", whole, "--check")
    assert "packages     differs: TensorFlow" in checked
    assert "bits may differ" in checked
    assert "spec         same" in checked


@pytest.mark.parametrize("first, then, variant", [("here", "there", "sgd"), ("there", "here", "ranger")])
def test_a_model_exported_by_one_stack_is_opened_by_the_other(place, root, tmp_path, variant, first, then):
    run, out = RUNS[variant][1], f"exported-{first}"
    for target in ("h5", "saved_model"):
        done(first, place, root, "-m", "workbench", "export", run, "--format", target, "--out", out)
    (h5,) = (place / out).glob("*.h5")
    done(first, place, root, "-c", SAVE, str(h5), str(h5.with_suffix(".keras")))
    models = (
        path for path in (place / out).iterdir() if path.suffix != ".json"
    )  # what the formats compared gave
    paths = sorted(str(path.relative_to(place)) for path in models)
    assert [path.rpartition("_")[2].rpartition(".")[2] for path in paths] == ["h5", "keras", "model"]
    for who in (first, then):
        (tmp_path / who).mkdir()
        done(who, place, root, "-c", LOAD, str(tmp_path / who), *paths)
    names = [path.name for path in (tmp_path / first).iterdir()]
    assert len(names) == 3
    for name in names:
        one, other = (np.load(tmp_path / who / name) for who in (first, then))
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)
