"""What MLflow shows of a journal: tags, parameters and metrics in the form and size that it takes."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import names
from workbench.security.foreign_files import files_below
from workbench.tracking.journal import Journal
from workbench.tracking.rows import EpochRecord, StartRecord, plain

if TYPE_CHECKING:
    from mlflow.entities import Metric

BATCH_METRICS = 1000  # MLflow's limit for one log_batch
LONGEST_PARAMETER = 6000  # characters; MLflow refuses longer ones
LONGEST_TAG = 5000
CUT_MARK = " ... (cut; whole in parameters.json)"
HIDDEN_PREFIX = "mlflow.workbench."  # of tags that are for the program alone: MLflow's pages hide what begins with `mlflow.`
TAG_REASON = names.TAG_PREFIX + "reason"
TAG_ATTEMPTS = names.TAG_PREFIX + "attempts"


def wanted_tags(journal: Journal, start: StartRecord, status: str) -> dict[str, str]:
    """Return the tags that the run should have, ours and those MLflow's pages know."""
    facts = journal.starts[-1].provenance
    tags = {
        names.TAG_RUN: journal.run,
        names.TAG_ID: start.id,
        names.TAG_STUDY: start.study,
        names.TAG_NAME: start.name,
        names.TAG_SEED: str(start.seed),
        names.TAG_QUICK: "true" if start.quick else "false",
        names.TAG_STATUS: status,
        TAG_ATTEMPTS: str(journal.attempt),
    }
    trunk = journal.trunk
    if start.parent or trunk:
        tags[names.TAG_PARENT] = start.parent or str(trunk["run"])
    if trunk:
        tags[names.TAG_TRUNK] = f"{trunk['run']}@{trunk['epoch']}"
    if journal.end and journal.end.reason:
        tags[TAG_REASON] = journal.end.reason
    for key, fact in (("user", "user"), ("source.name", "spec_file"), ("source.git.commit", "commit")):
        if facts.get(fact):
            tags[f"mlflow.{key}"] = str(facts[fact])
    tags.update({safe_key(key): str(value) for key, value in journal.starts[-1].tags.items()})
    return {key: value[:LONGEST_TAG] for key, value in tags.items()}


def parameter_texts(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as MLflow keeps them: texts, `true` and `false`, long ones cut with a mark."""
    texts = {}
    for key, value in parameters.items():
        if value is None:
            continue  # a setting that is off is absent
        text = ("true" if value else "false") if isinstance(value, bool) else str(plain(value))
        if len(text) > LONGEST_PARAMETER:
            text = text[: LONGEST_PARAMETER - len(CUT_MARK)] + CUT_MARK
        texts[safe_key(key)] = text
    return texts


def safe_key(name: str) -> str:
    """Return `name` as MLflow takes a key: characters that it refuses become underscores, and it is not a path
    that leads out of its folder (`/lead`, `a//b`, `../c`)."""
    plain = re.sub(r"[^\w\-.:/ ]", "_", name, flags=re.ASCII)
    return "/".join(part for part in plain.split("/") if part not in ("", ".", ".."))[:250].rstrip("/") or "_"


def metric_keys(rows: Iterable[Iterable[str]]) -> dict[str, str]:
    """Return the key in MLflow of each metric in rows of names: its name as MLflow takes it, with a number behind it where
    another metric has that key already, so that neither is written into the other.

    The order of the rows decides, so that keys stay what they are while a run goes on.
    """
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for row in rows:
        new = [name for name in row if name not in keys]
        # Names that may stay as they are first.
        for name in sorted(new, key=lambda name: safe_key(name) != name):
            key = plain_key = safe_key(name)
            number = 1
            while key in taken:
                number += 1
                key = f"{plain_key}_{number}"
            taken.add(key)
            keys[name] = key
    return keys


def safe_name(name: str) -> str:
    """Return `name` as one part of a path."""
    return re.sub(r"[^\w\-.+=]", "_", name, flags=re.ASCII).strip(".")[:100] or "_"


def milliseconds(seconds: float) -> int:
    """Return seconds since 1970 as MLflow keeps times."""
    return round(seconds * 1000)


def folder_state(folder: Path) -> str:
    """Return a short text that changes when a file in `folder` is added or changed; "" for no files."""
    # By size and time, not content: it is asked for at every row, and files may be gigabytes.
    files = [folder / name for name in files_below(folder)] if folder.is_dir() else []
    facts = [
        (path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files
    ]
    return f"{len(facts)} files, {zlib.crc32(repr(facts).encode()):08x}" if facts else ""


def best_so_far(rows: Iterable[EpochRecord], objective: str | None) -> dict[int, dict[str, float]]:
    """Return by epoch the best finite value until then of each metric that may count, under names of their own.

    MLflow's tables show and sort by the last value of a metric, so a best must be one. `objective` is what a sweep
    seeks; it counts whatever it is called.
    """
    found: dict[int, dict[str, float]] = {}
    best: dict[str, float] = {}
    for row in rows:
        for name, value in row.metrics.items():
            if not math.isfinite(value) or not (name == objective or names.has_best(name)):
                continue
            known = best.get(name)
            if names.is_better(name, value, known):
                best[name] = value
        found[row.epoch] = {f"{names.BEST_PREFIX}{name}": value for name, value in best.items()}
    return found


def metric_batches(
    rows: Iterable[EpochRecord], best: Mapping[int, Mapping[str, float]], keys: Mapping[str, str]
) -> Iterator[list[Metric]]:
    """Yield the metrics of whole epochs in batches, `best` values by epoch with them, under their `keys`; the
    `stage` of an epoch, which marks it as logged, is the last of its values, so that an epoch cut by an error is
    sent again."""
    from mlflow.entities import Metric

    batch: list[Metric] = []
    for row in rows:
        moment = milliseconds(row.time)
        values = {name: value for name, value in row.metrics.items() if name != names.STAGE}
        values.update(best.get(row.epoch, {}))
        values.update({f"{names.SYSTEM_PREFIX}{name}": value for name, value in row.system.items()})
        values[names.STAGE] = float(row.stage)
        if batch and len(batch) + len(values) > BATCH_METRICS:
            yield batch
            batch = []
        batch += [
            Metric(keys.get(key) or safe_key(key), float(value), moment, row.epoch)
            for key, value in values.items()
        ]
    yield from batched(batch, BATCH_METRICS)


def batched(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Yield `items` in lists of at most `size`."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
