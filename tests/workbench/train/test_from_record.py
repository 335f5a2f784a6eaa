"""Runs as their records have them, where the record had to leave secrets out."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import RecordError
from workbench.spec.load import load_variants
from workbench.spec.overrides import override_settings, setting_origins, with_seed
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import StartRecord
from workbench.tracking.store import find_store
from workbench.tracking.tracker import Tracker
from workbench.train.from_record import open_run, recorded_experiment

SPEC = '''"""Where do the faces come from?"""
from workbench import GDC, SGD, Experiment, Flip, ImageFolder, MobileFaceNet, Softmax, Stage
experiment = Experiment(
    data=ImageFolder("https://me:pa55-w0rd@faces.example.org/faces"), backbone=MobileFaceNet(image_size=32),
    embedding=GDC(size=16), stages=Stage(loss=Softmax(), epochs=1), optimizer=SGD(), learning_rate=0.1,
    batch_size=16,
)
'''


def record(project: Path) -> tuple[Path, StartRecord]:
    path = project / "experiments" / "faces.py"
    path.write_text(SPEC)
    variant = with_seed(override_settings(load_variants(path)[0], ["batch_size=8"]), 3)
    start = StartRecord(
        run="20260101T000000Z-00000001",
        id=variant.experiment.id,
        seed=3,
        name=variant.name,
        spec=variant.experiment.to_json(),
        provenance={"spec_path": str(path), "origins": setting_origins(variant)},
    )
    with Tracker.open(find_store(), start, views=[]) as tracker:
        tracker.end("stopped")
    kept = read_journal(find_store().journal(start.run)).start
    assert kept is not None
    return path, kept


def test_a_spec_with_a_secret_is_made_again_from_its_file(project: Path) -> None:
    path, kept = record(project)
    assert kept.spec["data"]["path"] == "https://***@faces.example.org/faces"
    found = recorded_experiment(kept, store=find_store())
    assert found.data.path == "https://me:pa55-w0rd@faces.example.org/faces"  # type: ignore[attr-defined]
    assert (found.batch_size, found.seed, found.id) == (8, 3, kept.id)
    assert open_run("20260101").experiment == found
    path.write_text(SPEC.replace("size=16", "size=32"))
    with pytest.raises(RecordError, match="settings of it hold secrets.*no variant of the spec file"):
        recorded_experiment(kept, store=find_store())


def test_a_run_without_a_spec_is_named(project: Path) -> None:
    with Tracker.open(find_store(), StartRecord(run="20260101T000000Z-00000002"), views=[]) as tracker:
        tracker.end("finished")
    with pytest.raises(RecordError, match="has no spec in its record"):
        open_run("20260101")
