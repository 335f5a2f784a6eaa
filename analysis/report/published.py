"""Published numbers in a report: those of the study beside what its runs reached, where there are any."""

from __future__ import annotations

from analysis.report.collect import Study
from analysis.report.page import Block, Section, Table, Text
from analysis.tables import published, published_file
from analysis.tables.conventions import published_note
from workbench.errors import RecordError


def section(study: Study) -> list[Section]:
    """Return the section of published numbers, nothing for a study of which none are held."""
    try:
        theirs = published_file.published_of(study.name)
    except RecordError:  # the records of a study outlive its spec
        return []
    if not theirs.names:
        return []
    ours = published.ours_of(study.records, study.name, theirs.readings())
    names = list(dict.fromkeys([*theirs.names, *ours]))
    frame = published.written(published.shortened(published.comparison(theirs, ours, names)))
    blocks: list[Block] = [Text([_intro(theirs)]), Table(frame, decimals=published.decimals(frame))]
    words = published_note(theirs, published.trained(ours))
    if words:
        blocks.append(Text([f"{words[0].upper()}{words[1:]}."]))
    gone = published.missing(ours, theirs.names)
    if gone:
        blocks.append(Text([f"Published and without a finished run here: {', '.join(gone)}."]))
    return [Section("Beside published numbers", blocks)]


def _intro(theirs: published_file.Published) -> str:
    return (
        f"Values are {published.reading(theirs.at)}{published.exceptions(theirs)}; published by {theirs.source}. Epochs are counted from 1. The "
        "difference has its 95 % interval from the number of pairs of the set, and verdicts allow for all rows."
    )
