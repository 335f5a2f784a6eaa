"""Any record in, two tidy frames out: what a file is, is seen from the file itself.

`load` takes whatever a user names: files, folders, patterns, runs of the store. Each kind of record has
one module here with `read(path)`, which returns runs as read and remarks on what could not be read.
"""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from analysis.branches import continued
from analysis.frames import Note, Records, RunData, build, concat, without_reruns
from workbench.errors import RecordError, StoreError
from workbench.tracking.store import Store, find_store

EMPTY = "no records yet"
SNIFFED_BYTES = 65_536
TEXT_LOGS = (  # module, what gives its logs away in their first bytes
    ("arcface_torch_log", rb"^Training: \d{4}-\d\d-\d\d [\d:,]+-"),
    ("mxnet_log", rb"Called with argument: Namespace\(|Epoch\[\d+\] (?:Batch|Train-)|\]Accuracy-Flip: "),
    ("csv_log", rb"\A(?:\xef\xbb\xbf)?epoch[,;]"),
    ("keras_output", rb"^Epoch \d+/\d+\r?$"),
)
SERVERS = ("http://", "https://")
DATABASES = ("postgresql://", "postgresql+psycopg2://", "mysql://", "sqlite:///")


@dataclass(frozen=True)
class Options:
    """How files are to be understood.

    `stages` are stage lengths in epochs, `stage_names` their names, `names` the runs' names in order.
    `as_one_run` joins all launches and files, each a stage unless `stages` says otherwise. `loss` is
    "includes" or "excludes" (the regulariser), `zeros_are_gaps` takes zeros for values not measured.
    `first_epoch` is the global epoch of the first value, and `parent` the run that it branches from.
    """

    stages: tuple[int, ...] = ()
    stage_names: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    as_one_run: bool = False
    loss: str | None = None
    zeros_are_gaps: bool = False
    first_epoch: int = 1
    parent: str | None = None


def trainings(store: str | None = None) -> Records:
    """Return the frames of the whole store (as `load` finds it), each training once: reruns are left out."""
    return without_reruns(load((), store))


def load(
    items: Iterable[str | Path] = (),
    store: str | None = None,
    options: Options | None = None,
    journals: bool = False,
) -> Records:
    """Return the frames of everything named: files, folders, patterns, addresses, runs of the store.

    Nothing named means the whole store (`store`, else $WORKBENCH_STORE, else `mlruns/`). With
    `journals` our runs are read from their journals even where MLflow's database has them.
    Raises `RecordError` or `StoreError` for what does not exist or cannot be understood.
    """
    options = options or Options()
    items = [str(item) for item in items]
    if not items:
        return read_store(find_store(store), None, journals)
    paths, runs, parts = [], [], []
    for item in items:
        if item.startswith((*SERVERS, *DATABASES)):
            parts.append(read_store(find_store(item), None, journals))
            continue
        found = expand(item)
        if found and is_store(found[0]):
            folders = [path if path.is_dir() else path.parent for path in found]
            parts += [read_store(find_store(str(folder)), None, journals) for folder in folders]
        elif found:
            paths += found
        else:
            runs.append(item)
    if runs:
        place = find_store(store)
        parts.append(read_store(place, named(place, runs), journals))
    if paths:
        parts.append(read_files(paths, options))
    return concat(parts)


def expand(item: str) -> list[Path]:
    """Return the files or folders that a path or a pattern means; none if it is neither, as `study/name:seed`."""
    if Path(item).exists():
        return [Path(item)]
    if not any(sign in item for sign in "*?["):
        place = item.startswith((".", "/", "~")) or item.endswith("/")
        if place or Path(item).suffix in (".json", ".log", ".csv", ".jsonl", ".txt"):
            raise RecordError("no such file", where=item)
        return []
    found = [Path(path) for path in sorted(glob.glob(item, recursive=True))]
    if not found:
        raise RecordError("no file fits this pattern", where=item)
    return found


def is_store(path: Path) -> bool:
    """Tell whether a path is a store of ours: a folder with a database or journals, or the database."""
    if path.is_dir():
        return (path / "mlflow.db").is_file() or (path / "journal").is_dir()
    return path.name == "mlflow.db"


def read_files(paths: Sequence[Path], options: Options | None = None) -> Records:
    """Return the frames of files and folders that are no store."""
    options = options or Options()
    runs: list[RunData] = []
    notes: list[Note] = []
    for path in _together(paths):
        found, remarks = read_path(path, options)
        if not found:
            raise RecordError("holds no values: a run with no epochs", where=path)
        runs += found
        notes += remarks
    if options.as_one_run and len(runs) > 1:
        runs = [joined(runs)]
    if options.names and len(options.names) != len(runs):
        raise RecordError(f"{len(options.names)} names for {len(runs)} runs", expected="a name for each run")
    for data, name in zip(runs, options.names):
        data.run = data.facts["name"] = name
    for data in runs:
        notes += _apply(data, options)
    _different(runs)
    return build(runs, notes)


def read_path(path: Path, options: Options) -> tuple[list[RunData], list[Note]]:
    """Return the runs of one file or folder, and the remarks; raises `RecordError` for unknown kinds."""
    kind = kind_of(path)
    if kind == "history_json":
        from analysis.sources import history_json

        return history_json.read(path, options.stages, options.first_epoch)
    runs, notes = import_module(f"analysis.sources.{kind}").read(path)
    if options.first_epoch > 1:
        for data in runs:
            _shift(data, options.first_epoch - data.first_epoch, 0)
    return runs, notes


def kind_of(path: Path) -> str:
    """Return the module that reads a file or folder, judged by its name and its first bytes."""
    from analysis.sources import mlruns_folder

    if path.is_dir():
        return "mlruns_folder" if mlruns_folder.is_folder(path) else "tfevents"
    if "tfevents" in path.name:
        return "tfevents"
    if path.suffix in (".json", ".jsonl"):
        return "history_json" if path.suffix == ".json" else "journal"
    try:
        with path.open("rb") as file:
            head = file.read(SNIFFED_BYTES)
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=path) from error
    for module, sign in TEXT_LOGS:
        if re.search(sign, head, re.MULTILINE):
            return module
    expected = "a *_hist.json, a journal, event files, or a log of MXNet insightface, arcface_torch or Keras"
    raise RecordError("not a record that is understood", where=path, expected=expected)


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
    return max((int(block["step"].max()) for *_, block in data.values if "step" in block), default=0)


def _shift(data: RunData, epochs: int, steps: int) -> None:
    data.first_epoch += epochs
    for *_, block in data.values:
        block["epoch"] = block["epoch"] + epochs
        if "step" in block:
            block["step"] = np.where(block["step"] < 0, block["step"], block["step"] + steps)


def _apply(data: RunData, options: Options) -> list[Note]:
    """Give a run its stages, its parent and the meaning of its loss and zeros; return the remarks."""
    notes = []
    if options.stages:
        names = [
            *options.stage_names,
            *(f"stage {n}" for n in range(len(options.stage_names) + 1, len(options.stages) + 1)),
        ]
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


def _different(runs: Sequence[RunData]) -> None:
    """Give runs of one name their folder's name in front, then a number."""
    for data in _alike(runs):
        folder = Path(data.file).parent.name
        data.run = data.facts["name"] = f"{folder}/{data.run}" if folder else data.run
    for number, data in enumerate(_alike(runs), start=1):
        data.run = data.facts["name"] = f"{data.run} #{number}"


def _alike(runs: Sequence[RunData]) -> list[RunData]:
    names = [data.run for data in runs]
    return [data for data, name in zip(runs, names) if names.count(name) > 1]


def _together(paths: Sequence[Path]) -> list[Path]:
    """Put `train/` and `validation/` of one training, given one by one, under their common folder."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    halves = [folder.parent if folder.name in ("train", "validation") else None for folder in folders]
    whole = [
        half if half is not None and halves.count(half) > 1 else path for path, half in zip(paths, halves)
    ]
    return list(dict.fromkeys(whole))


def named(store: Store, items: Sequence[str]) -> list[str]:
    """Return the runs that items mean: runs, for a sweep those of its trials, for a study all that are its own.

    Raises `RecordError` for what is none of them, and for a sweep without a trial.
    """
    from workbench.tracking import sweeps

    found: list[str] = []
    for item in items:
        sweep = sweeps.find(store, item)
        begun = [run for run in sweep.runs if store.journal(run).exists()] if sweep else []
        if sweep and not begun:
            raise RecordError("no trial yet", where=f"sweep {item}", do="`workbench sweep FILE --resume`")
        found += begun or runs_or_study(store, item)
    return list(dict.fromkeys(found))


def spread(store: Store, item: str) -> list[str]:
    """Return the runs of a sweep or of a study for its name, and anything else as it is."""
    from workbench.tracking import sweeps

    sweep = sweeps.find(store, item)
    if sweep:
        return list(sweep.runs)
    if item.startswith((*SERVERS, *DATABASES)) or expand(item):
        return [item]
    return runs_or_study(store, item)


def runs_or_study(store: Store, item: str) -> list[str]:
    """Return the run that an item means, or the runs of the study of that name; raises `RecordError` for neither."""
    from workbench.tracking.runs import find_titled

    try:
        if store.is_local:
            return resolve(store, [item])
    except RecordError:
        found = of_study(store, item)
        if not found:
            raise
        return found
    with contextlib.suppress(RecordError):  # runs of this machine have titles here, others on the server only
        item = find_titled(store, item) or item
    return of_study(store, item) or [item]  # a server's runs are looked up when they are read


def of_study(store: Store, study: str) -> list[str]:
    """Return the runs of a study without reruns; `--quick` ones only where there are no others."""
    from workbench.tracking.rows import RUN_NAME
    from workbench.tracking.runs import MLFLOW_ID

    if RUN_NAME.fullmatch(study) or MLFLOW_ID.fullmatch(study):
        return []
    runs = without_reruns(read_store(store)).runs
    own = runs[runs["study"].astype(str) == study]
    real = own[~own["quick"].eq(True)]
    return [str(run) for run in (own if real.empty else real)["run"]]


def resolve(store: Store, items: Sequence[str]) -> list[str]:
    """Return the runs that names, unique beginnings of names or MLflow ids mean, duplicates left out."""
    from workbench.tracking.runs import find_run

    if not store.is_local:
        return list(dict.fromkeys(items))
    return list(dict.fromkeys(find_run(store, item) for item in items))


def read_store(store: Store, runs: Sequence[str] | None = None, journals: bool = False) -> Records:
    """Return the frames of a store: MLflow's tables, and the journals of runs that are not in them.

    A branch has the epochs of its trunk before its own. Raises `StoreError` when there is nothing to read at all.
    """
    own = _own(store, runs, journals)
    if own.runs.empty and runs is None:
        address = store.uri.rpartition("@")[2]  # without a user and a password
        raise StoreError(EMPTY, where=address, do="run an experiment, or import old records")
    return continued(own, lambda names: read_store(store, names, journals))


def _own(store: Store, runs: Sequence[str] | None, journals: bool) -> Records:
    if store.uri.startswith(SERVERS):
        from analysis.sources.mlflow_server import read_server

        return read_server(store.uri, runs)
    if not store.is_local:
        from analysis.sources.mlflow_sql import read_server_database

        return read_server_database(store.uri, runs)
    chosen = None if runs is None else set(runs)
    own = [name for name in store.runs() if chosen is None or name in chosen]
    parts = []
    if store.database.exists():
        parts = _database(store, runs, own if journals else [])
    known = {run for part in parts for run in part.runs["run"]}
    rest = [name for name in own if name not in known]
    if rest:
        parts.append(_journals(store, rest))
    if not any(len(part.runs) for part in parts):
        raise StoreError(EMPTY, where=store.root, do="run an experiment, or import old records")
    return concat([part for part in parts if len(part.runs)])


def _journals(store: Store, runs: Sequence[str]) -> Records:
    from analysis.sources import journal

    read = [journal.read(store.journal(name)) for name in runs if not journal.is_sweep(store.journal(name))]
    return build([data for found, _ in read for data in found], [note for _, notes in read for note in notes])


def _database(store: Store, runs: Sequence[str] | None, without: Sequence[str]) -> list[Records]:
    from analysis.sources.mlflow_sql import read_database
    from workbench.tracking.store import read_runs

    if runs is None and not without:
        return [read_database(store.database)]
    rows, left = read_runs(store), set(without)
    there = {name for row in rows for name in (row.run or row.mlflow_id, row.mlflow_id)}
    all_named = [row.run or row.mlflow_id for row in rows] if runs is None else runs
    wanted = [name for name in all_named if name in there and name not in left]
    return [read_database(store.database, wanted)] if wanted else []
