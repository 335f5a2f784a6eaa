"""One model measured by an IJB protocol: kept beside its run, as plain values, and written into a folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.commands.model_option import embedder_of, rates
from workbench.files import write_json
from workbench.security.visible_text import console
from workbench.verification import embedders, ijb, ijb_files
from workbench.verification.measures import FARS
from workbench.verification.models import is_file

NAMING = (  # said above the tables: the two projects that publish such rows name them the other way round
    "N0: features at length 1; N1: lengths kept, as InsightFace names them (Keras_insightface swaps N0 and N1); "
    "D1: weighed by the detector's score; F1: mirror image added"
)


def measured(
    protocol: ijb_files.Protocol, model: str, options: Mapping[str, Any]
) -> tuple[str, ijb.ProtocolResult, Sequence[str]]:
    """Return the name of a model, what the protocol says of it, and remarks; a run keeps what was said."""
    embedder = embedder_of(
        model, options["store"], options["which"], options["size"], options["raw"], options["trust_code"]
    )
    embedded = ijb.embed(protocol, embedder, _shown)
    if options["save_embeddings"]:
        embedders.save(options["save_embeddings"], embedded)
    fars = rates(options["far"]) if options["far"] else FARS
    outcome = ijb.run(protocol, embedded, fars=fars)
    keep(protocol, model, options["store"], {"model": embedder.label, "set": protocol.name, **plain(outcome)})
    return embedder.label, outcome, embedded.messages


def keep(protocol: ijb_files.Protocol, model: str, store: str | None, facts: Mapping[str, Any]) -> None:
    """Write what was said of a run beside its other artifacts, where published numbers look for it."""
    if is_file(model):
        return
    from workbench.tracking.runs import find_run
    from workbench.tracking.store import find_store

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


def plain(outcome: ijb.ProtocolResult) -> dict[str, Any]:
    """Return the outcome as plain JSON values; what is not said is null."""
    columns, rows = ijb.tar_rows(outcome)
    readings = [str(result.reading) for result in outcome.results]

    def table(
        columns: list[str], names: list[str], rows: list[list[float]]
    ) -> dict[str, dict[str, float | None]]:
        cells = [[None if value != value else value for value in row] for row in rows]
        return {name: dict(zip(columns, row, strict=True)) for name, row in zip(names, cells, strict=True)}

    return {
        "naming": NAMING,
        "one_to_one": table(columns, readings, rows),
        "one_to_many": {name: table(*found) for name, found in ijb.identification_tables(outcome).items()},
        "messages": list(outcome.messages),
    }


def write(folder: Path, title: str, shown: str, facts: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write tables.md, tables.json and a figure with the ROC curve of each result, by its label."""
    from workbench.verification import plots

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
