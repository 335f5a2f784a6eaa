"""Files and folders that are not stores into runs: each by its own reader, then by what the user says of them.

What can be read is read and what cannot is reported; only where nothing at all is read is a file refused, with
what was remarked and the nearest form that is understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.frames import Note, Records, RunData, build
from analysis.sources.options import Options
from analysis.sources.sniff import (
    EXPORT,
    FORMS,
    LOOKED_FOR,
    WANDB_REFUSED,
    kind_of,
    nearest_form,
    reader,
    records_in,
)
from workbench.errors import RecordError, WorkbenchError

MOST_SAID = 3  # remarks in a refusal


def read_files(paths: Sequence[Path], options: Options | None = None) -> Records:
    """Return the frames of files and folders that are not stores.

    Of several, one that cannot be read is reported and left out. Raises `RecordError` where nothing is read.
    """
    options = options or Options()
    read, notes, refused = _each(_under_common_folders(paths), options)
    runs = [data for found in read.values() for data in found]
    if not runs:
        raise refused[0]
    if options.as_one_run and len(runs) > 1:
        runs = [joined(runs)]
    if options.names and len(options.names) != len(runs):
        raise RecordError(f"{len(options.names)} names for {len(runs)} runs", expected="a name for each run")
    for data, name in zip(runs, options.names):
        data.run = data.facts["name"] = name
    for data in runs:
        notes += _apply(data, options)
    _make_names_distinct(runs)
    return build(runs, notes)


def _each(
    paths: Sequence[Path], options: Options
) -> tuple[dict[Path, list[RunData]], list[Note], list[WorkbenchError]]:
    """Return the runs of each path that can be read, the remarks, and why others cannot, which is remarked too."""
    runs: dict[Path, list[RunData]] = {}
    notes: list[Note] = []
    refused: list[WorkbenchError] = []
    for path in paths:
        try:
            runs[path], remarks = read_path(path, options)
            notes += remarks
        except WorkbenchError as error:
            refused.append(error)
            notes.append(Note(str(path), f"not read: {str(error).removeprefix(f'{path}: ')}"))
    return runs, notes, refused


def read_path(path: Path, options: Options) -> tuple[list[RunData], list[Note]]:
    """Return the runs of one file or folder, and the remarks.

    Raises `RecordError` for unknown kinds, and for a record without a value, with what was remarked in it.
    """
    events = path.is_dir() and kind_of(path) == "tfevents"
    if events and not any(path.rglob("*tfevents*")):
        return _folder(path, options)
    runs, notes = reader(kind_of(path))(path, options)
    if events:
        more = _beside_events(path)
        found, remarks = _of_files(path, more, options) if more else ([], [])
        runs, notes = [*runs, *found], [*notes, *remarks]
    runs = [data for data in runs if data.values]
    if not runs:
        said = "; ".join(str(note).removeprefix(f"{path}: ") for note in notes[:MOST_SAID])
        raise RecordError(
            "holds no values" + (f" ({said})" if said else ": a run with no epochs"),
            where=path,
            expected=FORMS.get(kind_of(path)),
        )
    for data in runs:
        if options.first_epoch > 1 and data.first_epoch != options.first_epoch:
            _shift(data, options.first_epoch - data.first_epoch, 0)
    return runs, notes


def _folder(folder: Path, options: Options) -> tuple[list[RunData], list[Note]]:
    """Return the runs of a training's folder: of the files in it that trainings call their records."""
    files = records_in(folder)
    if not files and any(folder.rglob("*.wandb")):
        raise RecordError(WANDB_REFUSED, where=folder, do=EXPORT)
    if not files:
        raise RecordError("holds no record that is understood", where=folder, expected=nearest_form(folder))
    runs, notes = _of_files(folder, files, options)
    if not runs:
        raise RecordError(str(notes[0].what), where=notes[0].file, expected=nearest_form(folder))
    return runs, notes


def _beside_events(folder: Path) -> list[Path]:
    """Return the records of a folder of many trainings that are not those of its event files.

    A log beside event files, or above them, is that of the same training, which is read from the events.
    """
    return [
        file
        for file in records_in(folder)
        if file.parent != folder and not any(file.parent.rglob("*tfevents*"))
    ]


def _of_files(folder: Path, files: Sequence[Path], options: Options) -> tuple[list[RunData], list[Note]]:
    """Return the runs of the files of a folder that can be read, and the remarks."""
    read, notes, _ = _each(files, options)
    for file, found in read.items():
        # `version_0/metrics.csv` is called by its folder.
        if file.name in LOOKED_FOR and (file.parent != folder or len(files) == 1):
            for data in found:
                name = "/".join(file.relative_to(folder).parent.parts) or folder.resolve().name
                data.run = data.facts["name"] = data.run.replace(file.stem, name, 1)
    return [data for found in read.values() for data in found], notes


def joined(runs: Sequence[RunData]) -> RunData:
    """Join launches or files into one run, one after the other; each is a stage of its own."""
    whole = runs[0]
    stages = [(data.facts.get("name", data.run), data.last_epoch - data.first_epoch + 1) for data in runs]
    steps = _last_step(whole)
    for data in runs[1:]:
        last_step = _last_step(data)
        _shift(data, whole.last_epoch + 1 - data.first_epoch, steps)
        whole.values += data.values
        steps += last_step
    whole.stages = [(str(name), length) for name, length in stages]
    whole.run = whole.facts["name"] = whole.run.partition("#")[0]
    spans = [data.facts.get("seconds") for data in runs]
    whole.facts["seconds"] = None if None in spans else sum(spans)
    whole.facts["status"] = runs[-1].facts.get("status")
    return whole


def _last_step(data: RunData) -> int:
    return max((int(block["step"].max(initial=0)) for *_, block in data.values if "step" in block), default=0)


def _shift(data: RunData, epochs: int, steps: int) -> None:
    data.first_epoch += epochs
    for *_, block in data.values:
        block["epoch"] = block["epoch"] + epochs
        if "step" in block:
            block["step"] = np.where(block["step"] < 0, block["step"], block["step"] + steps)


def _apply(data: RunData, options: Options) -> list[Note]:
    """Give a run its stages, its parent and the meaning of its loss and zeros; return the remarks."""
    notes = []
    if options.stages and not fits(data, options.stages):
        length = data.last_epoch - data.first_epoch + 1
        shown = ",".join(map(str, options.stages))
        notes.append(Note(data.file, f"--stages {shown} do not fit its {length} epochs: not used"))
    elif options.stages:
        unnamed = [f"stage {number}" for number in range(1, len(options.stages) + 1)]
        names = [*options.stage_names, *unnamed[len(options.stage_names) :]]
        data.stages = list(zip(names, options.stages))
        for *_, block in data.values:
            block.pop("stage", None)
            block.pop("stage_epoch", None)
    data.facts["parent"] = options.parent or data.facts.get("parent")
    data.facts["loss_regulariser"] = options.loss or data.facts.get("loss_regulariser")
    if options.zeros_are_gaps:
        for metric, _, file, block in data.values:
            there = block["value"] != 0
            if not there.all():
                notes.append(Note(file, f"{metric}: {int((~there).sum())} zeros are taken for gaps"))
                block.update({name: column[there] for name, column in block.items()})
    return notes


def fits(data: RunData, stages: Sequence[int]) -> bool:
    """Tell whether stage lengths can be those of a run: it ends in the last of them."""
    length = data.last_epoch - data.first_epoch + 1
    return sum(stages[:-1]) < length <= sum(stages)


def _make_names_distinct(runs: Sequence[RunData]) -> None:
    """Give runs of one name their folder's name in front, then a number."""
    for data in _of_equal_names(runs):
        folder = Path(data.file).parent.name
        data.run = data.facts["name"] = f"{folder}/{data.run}" if folder else data.run
    for number, data in enumerate(_of_equal_names(runs), start=1):
        data.run = data.facts["name"] = f"{data.run} #{number}"


def _of_equal_names(runs: Sequence[RunData]) -> list[RunData]:
    names = [data.run for data in runs]
    return [data for data, name in zip(runs, names) if names.count(name) > 1]


def _under_common_folders(paths: Sequence[Path]) -> list[Path]:
    """Put `train/` and `validation/` of one training, given one by one, under their common folder."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    halves = [folder.parent if folder.name in ("train", "validation") else None for folder in folders]
    whole = [
        half if half is not None and halves.count(half) > 1 else path for path, half in zip(paths, halves)
    ]
    return list(dict.fromkeys(whole))
