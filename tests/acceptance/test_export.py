"""A run trained on real faces, exported to every format, each checked against the original."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import finished

pytestmark = pytest.mark.tensorflow

SPEC = '''"""A short training on the ORL faces."""
from workbench import GDC, SGD, ArcFace, Experiment, HeldOutPairs, ImageFolder, MobileFaceNet, Stage
experiment = Experiment(
    data=ImageFolder({data!r}), evaluate=HeldOutPairs(identities=10, pairs=600, name="orl"),
    backbone=MobileFaceNet(image_size=64, width=0.5, stem_stride=1), embedding=GDC(size=128, dropout=0.2),
    stages=(Stage(loss=ArcFace(scale=16, margin=0.1), epochs=6),),
    optimizer=SGD(momentum=0.9), learning_rate=0.05, weight_decay=5e-4, batch_size=32,
)
'''


def workbench(folder: Path, *words: str) -> str:
    done = finished(folder, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory, root, real_data) -> tuple[Path, str]:
    """A project with one finished run, and the run's name."""
    folder = tmp_path_factory.mktemp("orl")
    for name in ("experiments", "mlruns"):
        (folder / name).mkdir()
    (folder / "experiments" / "orl.py").write_text(SPEC.format(data=str(real_data / "orl_faces")))
    said = workbench(folder, "run", "experiments/orl.py", "--json")
    return folder, json.loads(said.splitlines()[-1])["run"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("wrap", [(), ("--wrap",)], ids=["plain", "wrapped"])
def test_an_orl_run_in_every_format(root, trained, wrap):
    folder, run = trained
    said = workbench(folder, "export", run, "--all", "--json", *wrap)
    rows = {row["name"]: row for row in json.loads(said.splitlines()[-1])["exports"]}
    original = rows["keras (original)"]["accuracy"]["orl"]
    assert len(rows) == 8 and original > 0.6
    for name in ("saved_model", "h5", "onnx", "tflite"):
        assert rows[name]["least_cosine"] > 0.9999
        assert rows[name]["accuracy"]["orl"] == pytest.approx(original, abs=0.005)
    for name in ("tflite dynamic", "tflite float16", "tflite int8"):
        assert rows[name]["mean_cosine"] > 0.95
        assert rows[name]["accuracy"]["orl"] == pytest.approx(original, abs=0.03)
        assert rows[name]["bytes"] < rows["tflite"]["bytes"]
