"""One model measured by an IJB protocol: kept beside its run, as plain values, and written into a folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.commands.model_option import ModelOptions, rates
from workbench.files import write_json
from workbench.security.visible_text import console
from workbench.tracking.runs import find_run
from workbench.tracking.store import find_store
from workbench.verification import embedders, ijb, ijb_files, plots
from workbench.verification.measures import FARS
from workbench.verification.models import is_file

Table = tuple[list[str], list[str], list[list[float]]]  # columns, names of the rows, values
NAMING = (  # said above the tables: the two projects that publish such rows name them the other way round
    "N0: features at length 1; N1: lengths kept, as InsightFace names them (Keras_insightface swaps N0 and N1); "
    "D1: weighed by the detector's score; F1: mirror image added"
)


def measured(
    protocol: ijb_files.Protocol, model: str, opened: ModelOptions, options: Mapping[str, Any]
) -> tuple[str, ijb.ProtocolResult, Sequence[str]]:
    """Return the name of a model, what the protocol says of it, and remarks; a run keeps what was said."""
    embedder = opened.embedder(model)
    embedded = ijb.embed(protocol, embedder, _shown)
    if options["save_embeddings"]:
        embedders.save(options["save_embeddings"], embedded)
    fars = rates(options["far"]) if options["far"] else FARS
    outcome = ijb.run(protocol, embedded, fars=fars)
    keep(protocol, model, opened.store, {"model": embedder.label, "set": protocol.name, **plain(outcome)})
    return embedder.label, outcome, embedded.messages


def keep(protocol: ijb_files.Protocol, model: str, store: str | None, facts: Mapping[str, Any]) -> None:
    """Write what was said of a run beside its other artifacts, where published numbers look for it."""
    if is_file(model):
        return
    place = find_store(store)
    if place.is_local:
        folder = place.run_artifacts(find_run(place, model)) / "ijb"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{protocol.name}.json", facts)


def _shown(work: list[slice]) -> Iterable[slice]:
    """Show a bar on a terminal while images are embedded."""
    from rich.progress import track

    screen = console(sys.stderr)
    return track(work, "embedding", console=screen, disable=not screen.is_terminal, transient=True)


def one_to_one(outcome: ijb.ProtocolResult) -> Table:
    """Return TAR at FAR, a row a reading: the columns, the readings and the values."""
    columns, rows = ijb.tar_rows(outcome)
    return columns, [str(result.reading) for result in outcome.results], rows


def plain(outcome: ijb.ProtocolResult) -> dict[str, Any]:
    """Return the outcome as plain JSON values; what is not said is null."""

    def values(table: Table) -> dict[str, dict[str, float | None]]:
        columns, names, rows = table
        cells = [[None if value != value else value for value in row] for row in rows]
        return {name: dict(zip(columns, row, strict=True)) for name, row in zip(names, cells, strict=True)}

    return {
        "naming": NAMING,
        "one_to_one": values(one_to_one(outcome)),
        "one_to_many": {name: values(found) for name, found in ijb.identification_tables(outcome).items()},
        "messages": list(outcome.messages),
    }


def write(folder: Path, title: str, shown: str, facts: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write tables.md, tables.json and a figure with the ROC curve of each result, by its label."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text(shown + "\n", encoding="utf-8")
    (folder / "tables.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    curves = {
        f"{label}  AUC {result.auc.value:.6f}": result.curve
        for label, result in results.items()
        if result.curve is not None and result.auc is not None
    }
    if curves:
        least = max(1e-6, min(float(far[0]) for far, _ in curves.values()))
        plots.save(plots.roc(curves, least, title), folder / "roc.png")
