"""Syncs a run in TensorBoard with its journal: scalars an epoch, and the HParams tab.

The tab shows the keys of the one configuration at the root folder, so new settings and metrics are
merged into it. It reads the last value of a metric, so best values are scalars of their own
(`best/lfw`), written when they improve. A run's folder is written anew when it is opened, because an
event file cannot take back an epoch that a resume superseded. TensorFlow is not imported.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import names
from workbench.errors import StoreError
from workbench.files import write_json
from workbench.security import safe_json
from workbench.security.foreign_files import is_below
from workbench.tracking.journal import Journal
from workbench.tracking.locks import lock
from workbench.tracking.rows import EpochRecord, StartRecord, plain
from workbench.tracking.store import Store
from workbench.views.event_file import EventFile
from workbench.views.mlflow_values import safe_name

BEST = names.BEST_PREFIX
CONFIGURATION = ".hparams.json"
SYNC_MARK = ".level.json"
LOCK_PATIENCE = 20.0
SEEN = 200  # different values of a setting that are remembered, so that a later domain can hold them
KINDS = {bool: "bool", int: "float64", float: "float64", str: "string"}


class TensorBoardView:
    """One run in TensorBoard. `sync` may be called again and again, from one thread at a time."""

    name = "TensorBoard"

    def __init__(self, store: Store, root: Path | None = None) -> None:
        """`root` takes the place of the store's own folder, for a rebuild aside."""
        self.root = root or store.tensorboard
        self.address = str(self.root)
        self.changes = 0
        self._file: EventFile | None = None
        self._written: dict[int, float] = {}  # epoch: time of the row
        self._best: dict[str, float] = {}
        self._ended = False

    def sync(self, journal: Journal, rows: list[EpochRecord], status: str) -> None:
        """Make TensorBoard show `rows` (accepted epochs), the settings and the status."""
        start = journal.starts[0]
        if start.tags.get(names.TAG_KIND) == names.SWEEP:
            return  # the sweep itself trained nothing: its trials are the sessions
        if not is_below(self.folder(start), self.root):
            raise StoreError("lies behind a link out of the store", where=self.folder(start))
        mark = sync_mark(rows, status)
        if status != names.RUNNING and _read_json(self.folder(start) / SYNC_MARK) == mark:
            return
        self.changes += 1
        with contextlib.ExitStack() as failing:
            failing.callback(self.close)
            self._write(journal, start, rows, status)
            failing.pop_all()
        if status != names.RUNNING:
            write_json(self.folder(start) / SYNC_MARK, mark)

    # What a board of chosen runs says otherwise: where a run lies, what it is called and which settings it shows.

    def configure(self, start: StartRecord, metrics: set[str]) -> None:
        """Make the tab know the run's settings and metrics."""
        merge_configuration(self.root, start, metrics)

    def folder(self, start: StartRecord) -> Path:
        """Return where the run's files go."""
        return run_folder(self.root, start)

    def settings(self, start: StartRecord) -> dict[str, bool | float | str]:
        """Return the settings that the run's session tells."""
        return settings(start)

    def group(self, start: StartRecord) -> str:
        """Return the row of the tab: the executions of a sweep's trial share one, any other run has its own."""
        group = (start.parent or "")[-8:] if names.TAG_SWEEP in start.tags else start.run[-8:]
        return f"{start.name} {group}".strip()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _write(self, journal: Journal, start: StartRecord, rows: list[EpochRecord], status: str) -> None:
        self.configure(start, {name for row in rows for name in row.metrics})
        if self._file is None or self._is_superseded(rows) or self._ended:
            self.close()
            self._file = self._opened(start)
        self._add(self._file, [row for row in rows if row.epoch not in self._written])
        if status != names.RUNNING and not self._ended:
            self._end(self._file, status, max(row.time for row in journal.rows))
        self._file.flush()
        if self._file.path.name.startswith("."):
            self._file.publish()

    def _opened(self, start: StartRecord) -> EventFile:
        """Return a new file of the run that begins with its settings."""
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        folder = self.folder(start)
        # Before the first write: a kill within it must not leave a mark that says all is shown.
        (folder / SYNC_MARK).unlink(missing_ok=True)
        # Aside until it holds everything: TensorBoard reads a folder at any moment, and never takes back what it read.
        file = EventFile(folder, aside=True)
        self._written, self._best, self._ended = {}, {}, False
        info = plugin_data_pb2.SessionStartInfo(group_name=self.group(start), start_time_secs=start.time)
        for key, value in self.settings(start).items():
            _set(info.hparams[key], value)
        _add_plugin(file, metadata.SESSION_START_INFO_TAG, start.time, session_start_info=info)
        return file

    def _add(self, file: EventFile, rows: list[EpochRecord]) -> None:
        for row in rows:
            values = {name: float(value) for name, value in row.metrics.items()}
            file.scalars({**values, **self._improved(values), names.STAGE: row.stage}, row.epoch, row.time)
            self._written[row.epoch] = row.time

    def _improved(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the best values that changed; a value that is not a number is never the best."""
        found = {}
        for name, value in values.items():
            known = self._best.get(name)
            if math.isnan(value) or not names.has_best(name):
                continue
            if names.is_better(name, value, known):
                self._best[name] = found[BEST + name] = value
        return found

    def _end(self, file: EventFile, status: str, moment: float) -> None:
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        word = {names.FINISHED: "STATUS_SUCCESS", names.FAILED: "STATUS_FAILURE"}.get(
            status, "STATUS_UNKNOWN"
        )
        info = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value(word), end_time_secs=moment)
        _add_plugin(file, metadata.SESSION_END_INFO_TAG, moment, session_end_info=info)
        self._ended = True

    def _is_superseded(self, rows: list[EpochRecord]) -> bool:
        moments = {row.epoch: row.time for row in rows}
        return any(moments.get(epoch) != moment for epoch, moment in self._written.items())


def run_folder(root: Path, start: StartRecord) -> Path:
    """Return the run's folder: the study, then the variant's name and the run's."""
    name = f"{start.name}.{start.run}" if start.name and start.name != start.run else start.run
    return root / safe_name(start.study) / safe_name(name)


def settings(start: StartRecord) -> dict[str, bool | float | str]:
    """Return the run's settings as the HParams tab takes them: truth values, numbers and texts.

    None is absent (the setting is off); a list or a number that is not finite becomes text.
    """
    found: dict[str, bool | float | str] = {"study": start.study}
    if start.name:
        found["name"] = start.name
    for key, value in start.parameters.items():
        value = plain(value)
        if value is not None:
            found[key] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
    return found


def sync_mark(rows: list[EpochRecord], status: str) -> dict[str, Any]:
    """Return what a finished folder shows, to be compared with what it should show."""
    last = rows[-1] if rows else None
    moment = round(sum(row.time for row in rows), 6)
    return {"status": status, "rows": len(rows), "last": last.epoch if last else 0, "times": moment}


def merge_configuration(root: Path, start: StartRecord, metrics: set[str]) -> None:
    """Make the configuration at `root` know the run's settings, their domains and its metrics."""
    path = root / CONFIGURATION
    # Without the lock first: nearly every epoch and run finds all its settings known.
    wanted = _merged(_read_json(path) or {"settings": {}, "metrics": []}, start, metrics)
    if wanted == _read_json(path):
        return
    with lock(root / ".configuration.lock", patience=LOCK_PATIENCE, why="the settings are being merged"):
        known = _read_json(path)
        wanted = _merged(known or {"settings": {}, "metrics": []}, start, metrics)
        if wanted != known:
            # What TensorBoard reads before the note of it: a kill in between has both written again.
            write_configuration(root, wanted)
            write_json(path, wanted)


def _merged(known: dict[str, Any], start: StartRecord, metrics: set[str]) -> dict[str, Any]:
    """Return the configuration with one more run.

    The tab shows few columns unasked: it puts settings that are marked as differing first, and the
    metrics in the order given, so what sweeps seek and evaluation sets come first there.
    """
    found = {key: dict(entry) for key, entry in known["settings"].items()}
    for key, value in settings(start).items():
        kind = KINDS[type(value)]
        if key not in found:
            domain = plain(start.domains.get(key))
            found[key] = {"type": kind, "domain": domain, "value": value, "differs": key == "name"}
            found[key]["seen"] = [value]
            continue
        seen = found[key].get("seen", [found[key]["value"]])
        if value not in seen and len(seen) < SEEN and key not in ("name", "study"):
            found[key]["seen"] = seen = [*seen, value]
        found[key]["differs"] |= found[key]["value"] != value
        if found[key]["type"] != kind:
            found[key].update(type="unset", domain=None)
        elif key in start.domains or found[key]["domain"]:
            # A domain must hold every run's value: the tab hides the runs outside of it.
            domain = _wider(found[key]["domain"], plain(start.domains.get(key)))
            found[key]["domain"] = _holding(domain, seen)
    tags = set(known["metrics"]) | {BEST + name for name in metrics if names.has_best(name)}
    sought = dict.fromkeys([*known.get("sought", []), *filter(None, [start.tags.get(names.TAG_OBJECTIVE)])])

    def rank(tag: str) -> tuple[bool, bool, str]:
        name = tag.removeprefix(BEST)
        return name not in sought, not names.is_evaluation(name), tag

    # A tuple's text does not count where one of its items varies by itself: that tells more.
    for key, entry in found.items():
        entry["differs"] &= not any(
            other.startswith(f"{key}.") and other[len(key) + 1 :].isdigit() for other in found
        )
    return {
        "settings": dict(sorted(found.items())),
        "metrics": sorted(tags, key=rank),
        "sought": list(sought),
    }


def _wider(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the domain that holds both: the union of values, or the interval around both."""
    if not one or not other:
        return other or one
    added, domain = (other, one) if "values" in other else (one, other)
    return _holding(domain, added["values"] if "values" in added else [added["min"], added["max"]])


def _holding(domain: dict[str, Any] | None, values: list[Any]) -> dict[str, Any] | None:
    """Return the domain with `values` in it; None where they do not fit its kind or are too many to know."""
    if domain is None or len(values) >= SEEN:
        return None
    if "values" in domain:
        return {"values": domain["values"] + [value for value in values if value not in domain["values"]]}
    if any(isinstance(value, (bool, str)) for value in values):
        return None
    return {"min": min(domain["min"], *values), "max": max(domain["max"], *values)}


def write_configuration(root: Path, wanted: dict[str, Any]) -> None:
    """Write what the tab shows, `settings` by name and the tags of `metrics`, in place of what was written before."""
    from tensorboard.plugins.hparams import api_pb2, metadata

    experiment = api_pb2.Experiment(name="workbench")
    for key, entry in wanted["settings"].items():
        info = experiment.hparam_infos.add(
            name=key, type=api_pb2.DataType.Value(f"DATA_TYPE_{entry['type'].upper()}")
        )
        info.differs = entry["differs"]
        domain = entry["domain"] or {}
        if "values" in domain:
            for value in domain["values"]:
                _set(info.domain_discrete.values.add(), value)
        elif "min" in domain:
            info.domain_interval.min_value = float(domain["min"])
            info.domain_interval.max_value = float(domain["max"])
    for tag in wanted["metrics"]:
        experiment.metric_infos.add(name=api_pb2.MetricName(tag=tag), display_name=tag)
    file = EventFile(root, aside=True)
    _add_plugin(file, metadata.EXPERIMENT_TAG, 0.0, experiment=experiment)
    file.publish()
    file.close()


def _add_plugin(file: EventFile, tag: str, moment: float, **content: Any) -> None:
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData(**content)
    file.plugin(tag, metadata.create_summary_metadata(data), metadata.NULL_TENSOR, moment)


def _set(message: Any, value: bool | float | str) -> None:
    """Put `value` into a message that holds a truth value, a number or a text."""
    if isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, (int, float)):
        message.number_value = value
    else:
        message.string_value = str(value)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = safe_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
