"""The real curves that the forecaster is scored on; not part of the project, found beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.forecast.curve import Curve

ROOT = Path(__file__).resolve().parents[2]
SHORTEST = 30  # epochs of a history that is scored
SHORTEST_STAGE = 20  # epochs of a last stage whose loss is scored

# folder: the first epochs of its stages, as the data's own README gives them
STAGES: dict[str, tuple[int, ...]] = {
    "resnet34_casia": (1, 2),
    "subcenter_casia": (1, 6, 11),
    "mobilefacenet_emore": (1, 16, 26, 30),
    "mobilenet_emore_bs256": (1, 11, 21, 31, 41, 51, 61, 71, 81, 83),
}


def folder() -> Path | None:
    """Return the folder of real data, or None where it is absent."""
    found = Path(os.environ.get("WORKBENCH_TEST_DATA") or ROOT.parent / "shared" / "data")
    return found if (found / "curves").is_dir() else None


# a part of a run's path in gluon.jsonl: its source; what shares a source shares data and schedules
GLUON = {
    "ucf101": "ucf",
    "kinetics400": "kinetics",
    "something": "kinetics",
    "imagenet": "imagenet",
    "cifar": "cifar",
    "pose": "pose",
    "sentiment": "sentiment",
}
FACE_METRICS = ("agedb_30", "cfp_fp", "lfw")


@dataclass(frozen=True)
class Family:
    """Finished curves of one metric and one source, as much of one kind as a study's runs."""

    source: str
    name: str
    curves: Sequence[Curve]


def families(data: Path) -> list[Family]:
    """Return all real curves by source and metric; of gluon's without those of unknown kind."""
    found = [Family("cifar10_cnn", "cifar10_cnn", cifar10(data))]
    found += [Family("face", f"face: {metric}", histories(data, metric)) for metric in FACE_METRICS]
    found.append(Family("face", "face: loss of the last stage", last_stages(data)))
    groups: dict[tuple[str, str], list[Curve]] = {}
    for number, line in enumerate((data / "curves" / "gluon.jsonl").read_text().splitlines()):
        read = json.loads(line)
        if read["kind"] is None:
            continue
        folder_of = read["run"].rsplit("/", 1)[0]
        source = next(name for part, name in GLUON.items() if part in folder_of)
        groups.setdefault((source, read["metric"]), []).append(_gluon(read, number))
    found += [Family(source, f"{source}: {metric}", curves) for (source, metric), curves in groups.items()]
    return found


def _gluon(read: dict, number: int) -> Curve:
    """Return one series under a name that says its kind, and whether it was measured on held-out data."""
    held_out = "val_" if read["metric"].startswith("val") else ""
    values = [np.nan if value is None else value for value in read["values"]]
    return Curve(
        metric=held_out + read["kind"],
        values=values,
        rates=[0 if rate is None else rate for rate in read["learning_rates"] or ()],
        finished=True,
        run=f"{read['run']}#{number}",
        study=read["metric"],
    )


def cifar10(data: Path) -> list[Curve]:
    """Return the 133 curves of validation error."""
    curves = []
    for path in sorted((data / "curves" / "cifar10_cnn").glob("*.json")):
        read = json.loads(path.read_text())
        curves.append(
            Curve(
                metric="val_error",
                values=read["learning_curve"],
                finished=True,
                seconds=read["runtime"] / len(read["learning_curve"]),
                run=path.stem,
            )
        )
    return curves


def histories(data: Path, metric: str) -> list[Curve]:
    """Return the face-recognition histories of at least 30 epochs."""
    curves = []
    for path in sorted((data / "histories").glob("*/*_hist.json")):
        read = json.loads(path.read_text())
        if len(read["lr"]) < SHORTEST:
            continue
        branch = path.parent.name == "mobilenet_emore_bs256" and path.stem.startswith("soft_")
        first = 81 if branch else 1
        stages = [epoch for epoch in STAGES[path.parent.name] if first <= epoch < first + len(read["lr"])]
        curves.append(
            Curve(
                metric=metric,
                values=read[metric],
                epochs=range(first, first + len(read[metric])),
                rates=read["lr"],
                stages=stages,
                finished=True,
                run=path.stem,
            )
        )
    return curves


def last_stages(data: Path) -> list[Curve]:
    """Return the losses of the histories' last stages, where these have 20 epochs or more."""
    curves = []
    for whole in histories(data, "loss"):
        start = max(whole.stages)
        begin = start - whole.first
        if whole.last - start + 1 >= SHORTEST_STAGE:
            parts = {
                "values": whole.values[begin:],
                "rates": whole.rates[begin:],
                "epochs": whole.epochs[begin:],
            }
            curves.append(replace(whole, stages=(start,), **parts))
    return curves
