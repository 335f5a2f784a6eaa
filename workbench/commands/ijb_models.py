"""`workbench ijb` over several models: one table, a row a model, as papers and the notebook print it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from workbench.commands.ijb_results import Table, measured, one_to_one, plain, write
from workbench.commands.model_option import ModelOptions
from workbench.errors import DataError, suggestion
from workbench.verification import ijb
from workbench.verification.ijb import ProtocolResult
from workbench.verification.ijb_files import Protocol

Measured = list[tuple[str, ProtocolResult]]


def compare(
    protocol: Protocol, models: Sequence[str], opened: ModelOptions, options: Mapping[str, Any]
) -> None:
    """Measure the models in turn and print their rows; raises `InputError` for what cannot be measured."""
    if options["save_embeddings"]:
        raise DataError("--save-embeddings with several models", do="give it with one MODEL at a time")
    found: Measured = []
    for model in models:
        name, outcome, messages = measured(protocol, model, opened, options)
        if name in dict(found):
            raise DataError(f"{model!r} is there twice", where="workbench ijb", expected="different models")
        found.append((name, outcome))
        for note in (*messages, *outcome.messages):
            click.echo(f"note: {name}: {note}", err=True)
    reading = chosen(found, options["reading"])
    shown = tables(protocol.name, found, reading)
    facts = {
        "set": protocol.name,
        "reading": reading,
        "models": {name: plain(outcome) for name, outcome in found},
    }
    if options["out"]:
        results = {
            model: result
            for model, outcome in found
            for result in outcome.results
            if str(result.reading) == reading
        }
        write(options["out"], f"{protocol.name}, {reading}", shown, facts, results)
    click.echo(json.dumps(facts) if options["as_json"] else shown)


def chosen(found: Measured, wanted: str | None) -> str:
    """Return the reading that all models are compared by: `wanted`, else the last one that all of them have."""
    there = [str(result.reading) for result in found[0][1].results]
    for _, outcome in found[1:]:
        own = {str(result.reading) for result in outcome.results}
        there = [name for name in there if name in own]
    if wanted is None and there:
        return there[-1]
    if wanted is None or wanted.upper() not in there:
        what = f"no reading {wanted!r}" if wanted else "no reading that all models have"
        raise DataError(what, where="--reading", do=suggestion(wanted or "", there))
    return wanted.upper()


def tables(name: str, found: Measured, reading: str) -> str:
    """Return TAR at FAR, and rank and TPIR for each gallery, a row a model, the best of a column in bold."""
    models = [model for model, _ in found]

    def of_reading(each: Sequence[Table], title: str) -> str:
        rows = [values[readings.index(reading)] for _, readings, values in each]
        return ijb.markdown(each[0][0], models, rows, title)

    outcomes = [outcome for _, outcome in found]
    parts = [of_reading([*map(one_to_one, outcomes)], f"{name} 1:1, {reading}, TAR at FAR")]
    galleries = [ijb.identification_tables(outcome) for outcome in outcomes]
    for gallery in galleries[0]:
        if all(gallery in other for other in galleries):
            each = [other[gallery] for other in galleries]
            parts += ["", of_reading(each, f"{name} 1:N, {gallery}, {reading}")]
    return "\n".join(parts)
