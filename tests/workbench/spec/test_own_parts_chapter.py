"""The chapter on own parts is one spec file: it loads, is recorded, labelled and trained as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from workbench.cli import program
from workbench.spec.labels import labels
from workbench.spec.load import load_variants
from workbench.spec.part import from_json
from workbench.spec.recorded_metrics import recorded_metrics

OWN = ("Focal", "TwoBlocks", "MeanAndMax", "Speckle", "HalfSine", "Stripes", "Spread", "Patience")


@pytest.fixture
def spec(project: Path, root: Path) -> Path:
    """The blocks of the chapter as one spec file."""
    text = (root / "docs" / "own_parts.md").read_text(encoding="utf-8")
    path = project / "experiments" / "own_parts.py"
    path.write_text("\n\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    return path


def test_own_parts_are_recorded_and_labelled_like_built_in_ones(spec: Path) -> None:
    own, other = (variant.experiment for variant in load_variants(spec))
    assert from_json(own.to_json()) == own
    settings = own.parameters()
    assert settings["stages.1.loss"] == "Focal" and settings["stages.1.loss.focus"] == 2.0
    assert settings["watch"] == "Patience" and settings["watch.patience.falls"] == 3
    assert settings["evaluate"] == "spread" and settings["evaluate.spread.count"] == 64
    codes = [name for name in settings if name.endswith(".code")]
    assert len(codes) == len(OWN) + 1  # Focal stands in two stages
    assert labels([settings, other.parameters()]) == ["Stripes", "StripesData"]
    assert recorded_metrics(own) >= {"spread", "falls", "accuracy", "val_accuracy"}
    assert own.direction("spread") == "higher"
    assert own.stages[0].loss.term == "focal_loss"


def test_the_check_of_settings_passes_and_says_what_they_are(spec: Path) -> None:
    done = CliRunner().invoke(program, ["check", str(spec), "own", "--no-steps"])
    assert done.exit_code == 0, done.output
    assert "own part Focal" in done.output and "focus (2): exponent on 1 - p" in done.output


@pytest.mark.tensorflow
def test_all_own_parts_train_record_and_are_opened_again(spec: Path) -> None:
    import workbench

    found = workbench.run(spec, name="own", process=False)
    assert found.status == "finished" and len(found.history) == 3
    assert {"spread", "falls", "weights", "val_accuracy"} <= set(found.history)
    assert (found.store.run_artifacts(found.run) / "figures" / "accuracy-e0003.png").stat().st_size > 1000
    assert found.scores.loc["spread", "epoch"] in (1, 2, 3)
    assert found.settings["augment"] == "Flip, Speckle"
    import numpy as np

    images = np.zeros((2, 40, 40, 3), np.uint8)
    assert found.embed(images).shape == (2, 16)
    assert found.predict(images)["identity"].str.startswith("width").all()


@pytest.mark.tensorflow
def test_a_table_of_paths_and_labels_is_a_source(spec: Path, project: Path) -> None:
    import numpy as np
    from PIL import Image

    variant = load_variants(spec)[0]
    rows = ["path,label"]
    for number in range(12):
        Image.fromarray(np.full((20, 20, 3), 20 * number, np.uint8)).save(project / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]}")
    (project / "table.csv").write_text("\n".join(rows))
    import sys

    from workbench.spec.datasets import default_places

    source = sys.modules["workbench_spec_own_parts"].Table("table.csv")
    opened = source.open(default_places(project))
    assert opened.identities == ("a", "b") and opened.labels.tolist() == [0, 1] * 6
    assert int(opened.reader(16)(np.int64(5))[0, 0, 0]) == 100
    assert variant.experiment.but(data=source).parameters()["data.path"] == "table.csv"
