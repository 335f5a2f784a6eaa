"""The two tidy frames that everything in analysis starts from: `runs` and `epochs`.

Every source ends here, and curves, tables, forecasts and verdicts begin here. `runs` has a row a run:
the columns of `RUN_COLUMNS`, then one column a setting. `epochs` has a row a value: `EPOCH_COLUMNS`.
Epochs are 1-based and global. `kind` says where a value comes from: *measured* was stored as a number
by the program that measured it (journal, MLflow, history, CSV, event file), *parsed* was read from
printed text, *inferred* was computed here (a mean of printed values, a learning rate from `lr_steps`).
What could not be read, or had to be decided, stands in `notes`, by file and line number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.plain_names import named_plainly
from workbench.errors import RecordError, suggestion
from workbench.names import LOWER, PEAK_SUFFIX, badness, declare_sets, direction, no_direction
from workbench.spec.labels import labels, value_text

# So many runs are read from their journals, which know steps and the time of each epoch. MLflow's database is
# quicker for more, but lacks both: whoever reads it says which columns are missing (`read_from_database`).
FROM_JOURNALS = 500

_RUN = ("run", "id", "study", "name", "seed", "status", "started", "seconds", "origin", "parent")
RUN_COLUMNS = (*_RUN, "quick", "loss_regulariser", "trunk", "rerun", "imported_from")
_EPOCH = ("run", "attempt", "stage", "stage_name", "stage_epoch", "epoch", "step")
EPOCH_COLUMNS = (*_EPOCH, "metric", "value", "kind", "file", "line")
MEASURED, PARSED, INFERRED = KINDS = ("measured", "parsed", "inferred")
MISSING = -1  # a step or line that is not known, before the frame is made
LINES_KEPT = 1000  # line numbers kept for one kind of remark; beyond it they are only counted


@dataclass
class Note:
    """A remark about a file: what was found, at which lines (1-based), and how often."""

    file: str
    what: str
    lines: list[int] = field(default_factory=list)
    count: int = 0

    def at(self, line: int) -> None:
        """Count one more line; the first `LINES_KEPT` numbers are kept."""
        self.count += 1
        if len(self.lines) < LINES_KEPT:
            self.lines.append(line)

    def __str__(self) -> str:
        if not self.lines:
            return f"{self.file}: {self.what}"
        shown = ", ".join(map(str, self.lines[:10])) + (" ..." if self.count > 10 else "")
        return f"{self.file}: {self.what}: {'line' if self.count == 1 else f'{self.count} lines,'} {shown}"


class Notes:
    """The remarks of one source, those of one kind gathered under one `Note`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[str, Note] = {}

    def add(self, what: str, line: int | None = None) -> None:
        """Remark `what`, at a line if there is one."""
        note = self._found.setdefault(what, Note(self.file, what))
        if line is not None:
            note.at(line)

    def all(self) -> list[Note]:
        """Return the remarks in the order in which they were first made."""
        return list(self._found.values())


@dataclass
class RunData:
    """One run on its way into the frames.

    `values` are blocks of (metric, kind, file, columns); the columns are equally long arrays under
    "epoch" and "value", optionally "attempt", "stage", "stage_epoch", "step" and "line". `stages` are (name,
    number of epochs) in order; without them the run is one stage without a name, unless the blocks
    bring their own. `first_epoch` is the run's first global epoch, above 1 for a branch of another run.
    """

    run: str
    file: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    stages: list[tuple[str, int]] = field(default_factory=list)
    first_epoch: int = 1
    values: list[tuple[str, str, str, dict[str, np.ndarray]]] = field(default_factory=list)

    def add(
        self, metric: str, kind: str, epoch: Any, value: Any, *, file: str | None = None, **columns: Any
    ) -> None:
        """Append a block of values (or one value) of one metric, read from the run's file or another."""
        block = {"epoch": epoch, "value": value, **columns}
        arrays = {name: np.atleast_1d(np.asarray(array)) for name, array in block.items()}
        if arrays["epoch"].size:
            self.values.append((metric, kind, file or self.file, arrays))

    @property
    def last_epoch(self) -> int:
        """The last epoch that has a value; the epoch before the first if there is none."""
        return max((int(block["epoch"].max()) for *_, block in self.values), default=self.first_epoch - 1)


@dataclass(frozen=True)
class Records:
    """The two frames and the remarks made while reading; `partial` tells why it is not all there.

    `folded` holds, for runs that stand for the folds of an experiment, their evaluation sets by metric.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    notes: tuple[Note, ...] = ()
    partial: str | None = None
    folded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def only(self, runs: Iterable[str]) -> Records:
        """Return the records of the named runs, in the order given."""
        wanted = list(dict.fromkeys(runs))
        frame = self.runs.set_index("run", drop=False).loc[wanted].reset_index(drop=True)
        return Records(
            frame, self.epochs[self.epochs["run"].isin(wanted)], self.notes, self.partial, self.folded
        )

    def by_start(self) -> Records:
        """Return the records with the runs in the order of their starts, those of unknown start behind them."""
        frame = self.runs.sort_values("started", kind="stable", na_position="last").reset_index(drop=True)
        return Records(frame, self.epochs, self.notes, self.partial, self.folded)


def build(runs: Sequence[RunData], notes: Iterable[Note] = (), partial: str | None = None) -> Records:
    """Make the two frames of runs as read; raises `RecordError` when two runs have one identifier."""
    names = [data.run for data in runs]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise RecordError(f"two runs are called {twice[0]!r}", do="give them different names")
    notes = [*notes, *(Note(data.file, words) for data in runs if (words := named_plainly(data)))]
    declare_sets(metric for data in runs for metric, *_ in data.values)
    rows = [{"run": data.run, **data.facts, **as_columns(data.settings, data.facts)} for data in runs]
    return Records(run_frame(rows), _epoch_frame(runs), tuple(notes), partial)


def run_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Make the `runs` frame of one dict a run; absent facts are missing, absent settings are off."""
    columns = dict.fromkeys([*RUN_COLUMNS, *(name for row in rows for name in row)])
    frame = pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in columns})
    frame["seconds"] = pd.to_numeric(frame["seconds"]).astype("float64")
    frame["started"] = pd.to_datetime(frame["started"], utc=True)
    return frame


def without_reruns(records: Records) -> Records:
    """Return the records without reruns of runs that are there too: the same training again is not a new one."""
    runs = records.runs["run"]
    again = records.runs["rerun"].isin(runs)
    return records.only(runs[~again]) if again.any() else records


def setting_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns of `runs` that are settings."""
    return [name for name in runs.columns if name not in RUN_COLUMNS]


def settings_of(runs: pd.DataFrame, seed: bool = True) -> list[dict[str, Any]]:
    """Return each run's settings as a dict without those that are off, its seed with them if wanted."""
    columns = setting_columns(runs) + (["seed"] if seed else [])
    values = [runs[name].tolist() for name in columns]
    return [
        {name: column[row] for name, column in zip(columns, values) if not is_missing(column[row])}
        for row in range(len(runs))
    ]


def is_missing(value: Any) -> bool:
    """Tell whether a cell is empty: None, NaN or pandas' NA."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def known_settings(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the settings of each run that can be compared.

    In a run of ours an absent setting is off. In a run read from a file it is not known; so a setting
    that such a run lacks is left out unless the other runs differ in it.
    """
    settings = settings_of(runs, seed=False)
    foreign = [is_missing(identity) for identity in runs["id"]]
    kept = []
    for name in setting_columns(runs):
        unknown = any(name not in own for own, strange in zip(settings, foreign, strict=True) if strange)
        values = {value_text(own[name]) for own in settings if name in own}
        if not unknown or len(values) > 1:
            kept.append(name)
    return [{name: own[name] for name in kept if name in own} for own in settings]


def run_labels(runs: pd.DataFrame) -> dict[str, str]:
    """Return each run's label: the name that the user gave it, where each has one that says as much as settings.

    Else the smallest set of settings that tells them apart, else seed, else name.

    Where a run is not known to have a setting (an old history knows its name only), all go by name.
    """
    names = [
        str(run if is_missing(name) else name) for run, name in zip(runs["run"], runs["name"], strict=True)
    ]
    settings = settings_of(runs)
    foreign = [set(own) for own, identity in zip(settings, runs["id"], strict=True) if is_missing(identity)]
    if any(keys != foreign[0] or not keys for keys in foreign) or (foreign and len(foreign) < len(runs)):
        settings = [{}] * len(names)
    found = labels(settings, names)
    given = all(name != run for name, run in zip(names, runs["run"], strict=True))
    if len(names) > 1 and given and _names_tell(names, settings):
        seeds = [value_text(own.get("seed")) for own in settings]
        found = [
            name if names.count(name) == 1 else f"{name}, seed {seed}" for name, seed in zip(names, seeds)
        ]
    return dict(zip(runs["run"], found, strict=True))


def _names_tell(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether names of the user's own say as much as settings: one name for each setting, and seeds apart."""
    apart = [
        frozenset((key, value_text(value)) for key, value in own.items() if key != "seed") for own in settings
    ]
    whole = {(name, own) for name, own in zip(names, apart)}
    seeds = {(name, value_text(own.get("seed"))) for name, own in zip(names, settings)}
    return (
        not any("=" in name for name in names)
        and len(whole) == len(set(names)) == len(set(apart))
        and len(seeds) == len(names)
    )


def per_epoch(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run, metric and epoch: of several values within an epoch the last."""
    again = epochs.duplicated(["run", "metric", "epoch"], keep=False)
    if not again.any():
        return epochs
    several = epochs[again].sort_values("step", kind="stable", na_position="last")
    last = several.drop_duplicates(["run", "metric", "epoch"], keep="last")
    return pd.concat([epochs[~again], last]).sort_index()


def best(epochs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return each run's first best row of a metric; non-finite values are never best.

    The best value found inside an epoch (`<metric>_peak`) counts as a value of the metric.

    Raises `RecordError` when no run has the metric, or nobody knows whether it should fall or rise.
    """
    side = direction(metric)
    rows = epochs[epochs["metric"].isin([metric, metric + PEAK_SUFFIX])]
    if rows.empty:
        raise RecordError(f"no metric {metric!r}", do=suggestion(metric, epochs["metric"].unique()))
    if side is None:
        raise RecordError(no_direction(metric))
    rows = rows[np.isfinite(rows["value"])]
    order = rows.assign(key=badness(rows["value"], side == LOWER))
    order = order.sort_values(["key", "epoch", "step"], kind="stable")
    return order.drop_duplicates("run").drop(columns="key").sort_index()


def concat(parts: Sequence[Records]) -> Records:
    """Join records of several sources; raises `RecordError` when a run is there twice."""
    if len(parts) == 1:
        return parts[0]
    runs = run_frame([row for part in parts for row in _dicts(part.runs)])
    twice = runs["run"][runs["run"].duplicated()]
    if len(twice):
        raise RecordError(f"run {twice.iloc[0]!r} is given twice", do="name each run once")
    notes = tuple(note for part in parts for note in part.notes)
    partial = "; ".join(part.partial for part in parts if part.partial) or None
    return Records(runs, concat_epochs([part.epochs for part in parts]), notes, partial)


def concat_epochs(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join `epochs` frames, keeping the text columns categorical."""
    from pandas.api.types import union_categoricals

    if not frames:
        return _epoch_frame([])
    columns = {}
    for name in EPOCH_COLUMNS:
        parts = [frame[name] for frame in frames]
        # pandas would make objects of categories that differ: one text a row instead of one number.
        if isinstance(parts[0].dtype, pd.CategoricalDtype):
            if len({str(part.cat.categories.dtype) for part in parts}) > 1:  # a part without rows or values
                parts = [part.astype(object).astype(pd.CategoricalDtype()) for part in parts if len(part)]
                parts = [part.cat.set_categories(part.cat.categories.astype(object)) for part in parts]
            columns[name] = union_categoricals(parts)
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)


def optional_int(values: np.ndarray) -> Any:
    """Return whole numbers as a nullable column in which `MISSING` is missing."""
    values = np.asarray(values, dtype=np.int64)
    return pd.arrays.IntegerArray(values, values == MISSING)


def as_columns(settings: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as columns; one that is called like a fact of the run and says something else gets
    `setting.` in front. Our own runs have their seed in both."""
    return {
        f"setting.{name}" if name in RUN_COLUMNS else name: value
        for name, value in settings.items()
        if name not in RUN_COLUMNS or facts.get(name) != value
    }


def _dicts(runs: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if not is_missing(value)}
        for row in runs.to_dict(orient="records")
    ]


def _epoch_frame(runs: Sequence[RunData]) -> pd.DataFrame:
    blocks = [(number, data, *block) for number, data in enumerate(runs) for block in data.values]
    sizes = [len(columns["epoch"]) for *_, columns in blocks]

    def joined(name: str, default: Any, dtype: str) -> np.ndarray:
        parts = [
            columns[name].astype(dtype) if name in columns else np.full(size, default, dtype)
            for (*_, columns), size in zip(blocks, sizes, strict=True)
        ]
        return np.concatenate(parts) if parts else np.empty(0, dtype)

    def repeated(values: Iterable[str], categories: Sequence[str] | None = None) -> pd.Categorical:
        values = list(values)
        known = list(dict.fromkeys(values)) if categories is None else list(categories)
        position = {name: code for code, name in enumerate(known)}
        return pd.Categorical.from_codes(
            np.repeat([position[value] for value in values], sizes).astype("int32"), categories=known
        )

    stage, stage_epoch, stage_name = _stage_columns(blocks)
    return pd.DataFrame(
        {
            "run": repeated((data.run for _, data, *_ in blocks), [data.run for data in runs]),
            "attempt": joined("attempt", 1, "int32"),
            "stage": stage,
            "stage_name": stage_name,
            "stage_epoch": stage_epoch,
            "epoch": joined("epoch", 1, "int32"),
            "step": optional_int(joined("step", MISSING, "int64")),
            "metric": repeated(metric for _, _, metric, *_ in blocks),
            "value": joined("value", np.nan, "float64"),
            "kind": repeated((kind for _, _, _, kind, _, _ in blocks), KINDS),
            "file": repeated(file for *_, file, _ in blocks),
            "line": optional_int(joined("line", MISSING, "int64")),
        }
    )


def _stage_columns(blocks: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, pd.Categorical]:
    """Return stage, epoch within the stage and stage name of every row."""
    stages, within, texts = [], [], []
    for _, data, *_, columns in blocks:
        stage, stage_epoch = columns.get("stage"), columns.get("stage_epoch")
        if stage is None or stage_epoch is None:
            stage, stage_epoch = place(
                columns["epoch"], [epochs for _, epochs in data.stages], data.first_epoch
            )
        names = np.array([name for name, _ in data.stages] or [""], dtype=object)
        stages.append(stage.astype("int32"))
        within.append(stage_epoch.astype("int32"))
        texts.append(names[np.clip(stage - 1, 0, len(names) - 1)])
    if not blocks:
        return np.empty(0, "int32"), np.empty(0, "int32"), pd.Categorical([])
    return np.concatenate(stages), np.concatenate(within), pd.Categorical(np.concatenate(texts))


def place(epoch: np.ndarray, lengths: Sequence[int], first_epoch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return stage and epoch within it (both 1-based) of global epochs; the last stage has no end."""
    starts = first_epoch + np.cumsum([0, *lengths])[: max(len(lengths), 1)]
    stage = np.searchsorted(starts, epoch, side="right")
    return stage, epoch - starts[np.maximum(stage, 1) - 1] + 1


def read_from_database(count: int) -> str:
    """Return the line that says what a table of `count` runs lacks where they are read from MLflow's database."""
    return (
        f"{count} runs, more than {FROM_JOURNALS}: read from MLflow's database, which knows no steps and no times of "
        "epochs; images_per_second and device_hours are left out (name fewer runs to see them)"
    )
