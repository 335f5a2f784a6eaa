"""The files of published numbers, `experiments/published/NAME.json`: what they hold and how it is read.

    {"source": who published, "at": how a row is read, "first_epoch": 0 or 1,
     "runs": {variant: {set: [value, epoch]}},
     "at_of": {variant: how this row is read instead},
     "epochs": {variant: {global epoch, from 1: {"loss": ..., "accuracy": ..., "seconds": ..., "step_seconds": ...}}},
     "ijb": {"reading": "N0D1F1", set: {variant: {false accept rate: true accept rate}}},
     "cases": {metric: number of images or pairs that its value is a share of}}

`at` is "each" for the maximum of each set, a metric's name for the epoch at which that metric is best, "last" for the
last epoch. All but the first four may be left out. A file whose name is not a study's holds what others published of
models that are trained here nowhere; its rows stand in the place of variants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import RecordError, suggestion
from workbench.security.safe_json import loads

EACH, LAST = "each", "last"
EPOCH, IJB = "epoch ", "ijb"  # readings of values of one epoch ("epoch 16"), and of `workbench ijb`
Values = Mapping[str, tuple[float, int | None]]


@dataclass(frozen=True)
class Published:
    """What is published of a study: `runs` is {variant: {set: (value, 1-based epoch or None)}}.

    `epochs` is {variant: {1-based epoch: {metric: value}}}, `ijb` {set: {variant: {rate: value}}} under `protocol`, the
    name of a reading, `at_of` how single rows are read, `cases` {metric: what its value is a share of}.
    """

    study: str
    at: str
    runs: Mapping[str, Values]
    source: str = ""
    at_of: Mapping[str, str] = field(default_factory=dict)
    epochs: Mapping[str, Mapping[int, Mapping[str, float]]] = field(default_factory=dict)
    ijb: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    protocol: str = ""
    cases: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The variants of which anything is published, in the order of the file."""
        sets = [name for rows in self.ijb.values() for name in rows]
        return list(dict.fromkeys([*self.runs, *self.epochs, *sets]))

    def readings(self) -> tuple[str, ...]:
        """Return every way in which a value of ours has to be read to stand beside these."""
        single = [f"{EPOCH}{epoch}" for rows in self.epochs.values() for epoch in rows]
        return tuple(dict.fromkeys([self.at, *self.at_of.values(), *single]))

    def rows_of(self, name: str) -> list[tuple[str, Values]]:
        """Return (how it is read, values) of a variant."""
        rows: list[tuple[str, Values]] = [(self.at_of.get(name, self.at), self.runs.get(name, {}))]
        for epoch, values in self.epochs.get(name, {}).items():
            rows.append((f"{EPOCH}{epoch}", {metric: (value, epoch) for metric, value in values.items()}))
        found = {
            f"{group} {far}": (value, None)
            for group, all_ in self.ijb.items()
            for far, value in all_.get(name, {}).items()
        }
        return [*rows, (IJB, found)] if found else rows


def folders() -> tuple[Path, ...]:
    """Return where specs are looked for: below the working folder, then beside this package."""
    return (Path.cwd() / "experiments", Path(__file__).resolve().parents[2] / "experiments")


def specs() -> dict[str, Path]:
    """Return the spec file of each study by its name; the first folder that holds one counts."""
    known: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.py")):
            known.setdefault(path.stem, path)
    return known


def spec_of(study: str) -> Path:
    """Return the spec file of a study; raises `RecordError` with the nearest names where there is none."""
    known = specs()
    name = Path(study).stem
    if name not in known:
        raise RecordError(
            f"no study {study!r}", where="experiments/", do=suggestion(name, [*known, *references()])
        )
    return known[name]


def references() -> dict[str, Path]:
    """Return the files of numbers that belong to no study, by name."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted((folder / "published").glob("*.json")):
            if not (folder / f"{path.stem}.py").exists():
                found.setdefault(path.stem, path)
    return found


def published_of(study: str) -> Published:
    """Return what is published of a study, nothing where there is no file of numbers.

    Ours is then read at the last epoch: the best one would be chosen on the very set that is reported.
    """
    if study in references():
        return read_published(references()[study])
    spec = spec_of(study)
    path = spec.parent / "published" / f"{spec.stem}.json"
    return read_published(path) if path.is_file() else Published(spec.stem, LAST, {})


def read_published(path: Path) -> Published:
    """Return the numbers of a file; raises `RecordError` naming what is wrong with it."""
    try:
        content = loads(path.read_text(encoding="utf-8"))
        ijb = dict(content.get("ijb", {}))
        return Published(
            path.stem,
            str(content["at"]),
            _runs(content["runs"], int(content["first_epoch"])),
            str(content["source"]),
            {str(name): str(at) for name, at in content.get("at_of", {}).items()},
            {
                name: {int(epoch): _numbers(row) for epoch, row in rows.items()}
                for name, rows in content.get("epochs", {}).items()
            },
            protocol=str(ijb.pop("reading", "")),
            ijb={group: {name: _numbers(row) for name, row in rows.items()} for group, rows in ijb.items()},
            cases={str(metric): int(count) for metric, count in content.get("cases", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"cannot be used: {error}",
            where=path,
            expected='{"source": ..., "at": ..., "first_epoch": 0, "runs": {variant: {set: [value, epoch]}}}',
        ) from error


def _runs(runs: Mapping[str, Any], first: int) -> dict[str, Values]:
    return {
        str(name): {
            str(metric): (float(value), None if epoch is None else int(epoch) - first + 1)
            for metric, (value, epoch) in row.items()
        }
        for name, row in runs.items()
    }


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in row.items()}
