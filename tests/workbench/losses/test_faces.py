"""On real faces: triplets and centers lower their loss; sub-centers, the clean-up, and training on from it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.cli import main
from workbench.spec.load import load_variants
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import EpochRecord

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Do the losses on embeddings learn real faces?"""
from workbench import *

def study(*stages, **changes):
    settings = dict(
        data=ImageFolder("{data}"), backbone=OrientedGradients(directions=4, cell=16), embedding=E(size=32),
        stages=stages, optimizer=Adam(), learning_rate=0.003, batch_size=40,
        log_model="none",
    )
    return Experiment(**{{**settings, **changes}})

people = Identities(identities=10, images=4)
experiments = [
    study(
        Stage(loss=Triplet(mining="hard"), epochs=4, sampler=people),
        Stage(loss=Triplet(mining="semi-hard", alpha=0.3), epochs=2, sampler=people),
        Stage(loss=ScaledSoftmax(scale=16) + Center(), epochs=3, sampler=people),
        Stage(loss=ScaledSoftmax(scale=16) + 10 * Center(), epochs=3, sampler=people),
        name="metric",
    ),
    study(
        Stage(loss=ArcFace(scale=16, margin=0.2, head=SubCenter(centers=2)), epochs=15),
        batch_size=10, name="subcenter",
    ),
    study(
        Stage(loss=ArcFace(scale=16, margin=0.2), epochs=1, train="head"),
        data=ImageFolder("{data}", include="clean.txt"),
        start=FromRun("{{run}}", which="last", centers="clean.txt.npz"),
        name="on",
    ),
]
'''
NAMED = SPEC.replace("{{run}}", "{run}")


def faces(real_data: Path, project: Path) -> Path:
    """Ten subjects, of which the first holds three images of somebody else."""
    folder = project / "faces"
    for subject in range(1, 11):
        shutil.copytree(real_data / "orl_faces" / f"s{subject:02d}", folder / f"s{subject:02d}")
    for number in (1, 2, 3):
        shutil.copy(
            real_data / "orl_faces" / "s40" / f"{number:02d}.png", folder / "s01" / f"other{number}.png"
        )
    return folder


def spec(project: Path, data: Path, run: str = "none") -> Path:
    path = project / "experiments" / "faces.py"
    path.write_text(NAMED.format(data=data, run=run).replace("{{", "{").replace("}}", "}"))
    return path


def epochs(project: Path, index: int) -> tuple[str, list[dict[str, Any]]]:
    """The name of the run made last but `index`, and the metrics of its epochs."""
    path = sorted((project / "mlruns" / "journal").glob("*.jsonl"))[index]
    return path.stem, [row.metrics for row in read_journal(path).rows if isinstance(row, EpochRecord)]


def test_triplets_and_centers_lower_their_loss(real_data: Path, project: Path) -> None:
    path = spec(project, real_data / "orl_faces")
    assert main(["run", str(path), "metric"]) == 0
    found = epochs(project, -1)[1]
    assert found[3]["loss"] < 0.8 * found[0]["loss"]
    assert found[5]["loss"] < found[4]["loss"]
    centers = [row["center_embedding_loss"] for row in found[6:]]
    assert centers[-1] < 0.9 * centers[0]
    # the centers go on into the stage in which their weight is ten times as large
    assert centers[3] < 1.2 * centers[2]
    for row in found[9:]:
        expected = row["scaled_softmax_loss"] + 10 * row["center_embedding_loss"]
        assert row["loss"] == pytest.approx(expected, rel=1e-4)


def test_a_run_with_sub_centers_is_cleaned_and_trained_on(
    real_data: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = faces(real_data, project)
    assert main(["run", str(spec(project, data)), "subcenter"]) == 0
    run, _ = epochs(project, -1)
    assert main(["clean", run, "-o", "clean.txt", "--angle", "60"]) == 0
    said = capsys.readouterr().out
    assert "images lie within 60 degrees" in said
    assert "farthest: s" in said
    median = re.search(r"median (\d+\.\d)", said)
    assert median
    kept = set((project / "clean.txt").read_text().split())
    every = {f"{path.parent.name}/{path.name}" for path in data.rglob("*.png")}
    assert kept <= every
    assert len(kept) > 80
    assert main(["clean", run, "-o", "half.txt", "--angle", median[1]]) == 0
    assert abs(len((project / "half.txt").read_text().split()) - 50) < 5
    with np.load(project / "clean.txt.npz") as file:
        assert file["centers"].shape == (10, 32)
        assert file["identities"].tolist() == [f"s{n:02d}" for n in range(1, 11)]
    path = spec(project, data, run)
    assert load_variants(path)[2].experiment.start.run == run
    assert main(["run", str(path), "on"]) == 0
    _, found = epochs(project, -1)
    assert found[0]["accuracy"] > 0.9  # with a new head it would begin near 0.1


def test_a_run_to_start_from_is_looked_for_before_anything_is_written(
    project: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "clean.txt").write_text("s01/01.png\ns01/02.png\ns02/01.png\n" * 20)
    path = spec(project, real_data / "orl_faces", "20200101-000000-nothing0")
    assert main(["run", str(path), "on", "--set", "batch_size=2"]) == 2
    assert "nothing0" in capsys.readouterr().err
    assert not list((project / "mlruns").rglob("*.jsonl"))
