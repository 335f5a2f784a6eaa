"""The project's own numbers as a file: a summary of records that tables can be made of where the records are not.

`docs/results.json` holds, for each study and variant, what `analysis.tables.published.Ours` holds. It is refreshed from
a store (`workbench results --refresh`), and `docs/results.md` is generated from it by `make docs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.frames import Records
from analysis.tables import published, published_file, study_verdicts
from analysis.tables.conventions import published_note
from analysis.tables.published import IMPORTED, RUN, Ours
from analysis.tables.published_file import EACH, LAST
from analysis.tables.render import render
from workbench.errors import RecordError
from workbench.files import write_whole
from workbench.security.safe_json import loads
from workbench.spec.load import load_variants
from workbench.spec.variant import Variant

if TYPE_CHECKING:
    from workbench.tracking.store import Store

DIGITS = 6  # kept of a value
Results = dict[str, dict[str, Ours]]  # by study and variant


def read_results(path: Path) -> Results:
    """Return the results of a file, none where it does not exist; raises `RecordError` for a damaged one."""
    if not path.is_file():
        return {}
    try:
        content = loads(path.read_text(encoding="utf-8"))
        return {
            study: {name: _ours(row) for name, row in variants.items()} for study, variants in content.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"cannot be used: {error}", where=path, do="write it anew with `workbench results --refresh`"
        ) from error


def _ours(row: Mapping[str, Any]) -> Ours:
    values = {
        at: {metric: (float(value), epoch) for metric, (value, epoch) in sets.items()}
        for at, sets in row["values"].items()
    }
    return Ours(str(row["kind"]), int(row["runs"]), values, row.get("judged"))


def refreshed(
    old: Results, records: Records, studies: Sequence[str] = (), store: Store | None = None
) -> Results:
    """Return the results with those of the store's finished and imported runs in the place of the old ones.

    `studies` are those to refresh, all of the store that have a spec where none is named. Studies that the
    store does not have are kept: their records are elsewhere. Raises `RecordError` for a study without runs.
    """
    there = dict.fromkeys(str(study) for study in records.runs["study"])
    for study in studies:
        if study not in there:
            raise RecordError(
                f"no run of the study {study!r}", where="the store", do="run or import one first"
            )
    specs = published_file.specs()
    result = dict(old)
    for study in studies or [study for study in there if study in specs]:
        theirs = published_file.published_of(study)
        ats = dict.fromkeys((*theirs.readings(), EACH, LAST))
        own, facts = records, {}
        if store is not None and not theirs.names:
            own, facts = (
                study_verdicts.gathered(records, study, store),
                study_verdicts.verdicts_of(records, study, store),
            )
        found = published.ours_of(own, study, tuple(ats), store)
        found = {name: replace(ours, judged=facts.get(name)) for name, ours in found.items()}
        names = list(found)
        if study in specs:  # the trials of a sweep are no variants: each is one run, and there are many
            names = [*row_names(load_variants(specs[study])), *theirs.names]
        kept = {name: ours for name, ours in found.items() if name in names and ours.kind in (RUN, IMPORTED)}
        if kept:
            result[study] = kept
    return result


def write_results(path: Path, results: Results) -> None:
    """Write the results, one line a variant, in the order of names."""
    blocks = []
    for study in sorted(results):
        rows = [f"    {json.dumps(name)}: {_line(ours)}" for name, ours in sorted(results[study].items())]
        blocks.append(f"  {json.dumps(study)}: {{\n" + ",\n".join(rows) + "\n  }")
    write_whole(path, "{\n" + ",\n".join(blocks) + "\n}\n")


def _line(ours: Ours) -> str:
    values = {
        at: {metric: [round(value, DIGITS), epoch] for metric, (value, epoch) in sorted(sets.items())}
        for at, sets in sorted(ours.values.items())
    }
    row: dict[str, Any] = {"kind": ours.kind, "runs": ours.runs, "values": values}
    return json.dumps(row if ours.judged is None else {**row, "judged": ours.judged})


def page(path: Path) -> str:
    """Return the tables of all studies that are published or have results, as Markdown, from a file alone."""
    results, parts, specs = read_results(path), [], published_file.specs()
    for study in sorted(specs):
        theirs, ours = published_file.published_of(study), results.get(study, {})
        if not theirs.names and not ours:
            continue
        variants = load_variants(specs[study])
        parts.append(
            f"### {study}\n\n{variants[0].question}\n\n{reading(theirs, ours)}\n\n{_table(theirs, ours, variants)}"
        )
    return "\n\n".join(parts)


def reading(theirs: published_file.Published, ours: Mapping[str, Ours]) -> str:
    """Say in a sentence or two how the values of a table are read, and how many runs are ours."""
    imported = sum(row.kind == IMPORTED for row in ours.values())
    own = len(ours) - imported
    counts = [f"{count} {word}" for count, word in ((own, "trained here"), (imported, "imported")) if count]
    against = dict.fromkeys(row.judged["against"] for row in ours.values() if row.judged)
    if against:
        said = f"Values and verdicts are those of `workbench table --baseline`, against {', '.join(against)}"
        return f"{said}; an error is the standard error over folds, or the half width of the 95 % interval over seeds."
    at = f"{published.reading(theirs.at)}{published.exceptions(theirs)}"
    convention = published_note(theirs, published.trained(ours))
    said = f" {convention[0].upper()}{convention[1:]}." if convention else ""
    return f"Values are {at}. Ours: {', '.join(counts) if counts else 'none yet'}.{said}"


def row_names(variants: Sequence[Variant]) -> list[str]:
    """Return what the rows of a study are called: its variants, the folds of one experiment by its name."""
    folds = [(variant.experiment.fold, variant.name) for variant in variants]
    return list(
        dict.fromkeys(name if fold is None or fold.name is None else fold.name for fold, name in folds)
    )


def _table(theirs: published_file.Published, ours: Mapping[str, Ours], variants: Sequence[Any]) -> str:
    names = [name for name in row_names(variants) if name in theirs.names or name in ours]
    facts = {name: ours[name].judged for name in names if name in ours}
    if facts and all(facts.values()):
        kept = study_verdicts.table({name: fact for name, fact in facts.items() if fact is not None})
        return str(
            render(
                kept, "markdown", decimals=dict.fromkeys(("value", "error", "difference", "from", "to"), 4)
            )
        )
    table = published.written(published.shortened(published.comparison(theirs, ours, names)))
    return str(render(table, "markdown", decimals=published.decimals(table)))
