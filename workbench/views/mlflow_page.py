"""What a reader of MLflow's page of a run looks for first: its name, what it asks, its stages, its data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.names import stage_parameter
from workbench.security.safe_source import docstring
from workbench.security.visible_text import markdown_cell, markdown_prose
from workbench.tracking.rows import StartRecord
from workbench.views.links import sentence

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

# MLflow draws tables without any space between columns.
SPACE = "&emsp; | "
LONGEST_DIGEST = 36  # MLflow's limit; the whole fingerprint stands in the profile


def run_name(start: StartRecord) -> str:
    """Return what MLflow's lists call a run: its variant, the seed behind it, and whether it was the small form."""
    name = f"{start.name or start.run}:{start.seed}" if start.id else start.name or start.run
    return f"{name} (quick)" if start.quick else name


def description(start: StartRecord, spec: str) -> str:
    """Return a run's description in Markdown: the docstring of its `spec` file, its stages as a table, and links."""
    text = markdown_prose(docstring(spec) or str(start.provenance.get("question", "")))
    rows = [
        (
            markdown_cell(stage.get("number", number)),
            markdown_cell(stage.get("name", "")),
            markdown_cell(stage.get("epochs", "")),
            markdown_cell(start.parameters.get(stage_parameter(number, "loss"), "")),
        )
        for number, stage in enumerate(start.stages, start=1)
    ]
    lines = [f"| {SPACE.join(row)} |" for row in (("stage", "name", "epochs", "loss"), *rows)]
    table = [lines[0], "| --- | --- | --- | --- |", *lines[1:]] if rows else []
    return "\n\n".join(part for part in (text, "\n".join(table), sentence(start)) if part)


def dataset_inputs(start: StartRecord) -> Iterator[DatasetInput]:
    """Yield the data of a run as MLflow's inputs: name, digest, counts, and what each was used for."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    for data in start.provenance.get("datasets", ()):
        facts = {key: value for key, value in data.items() if key not in ("name", "context", "source")}
        yield DatasetInput(
            Dataset(
                name=str(data.get("name", "")),
                digest=str(data.get("fingerprint", ""))[:LONGEST_DIGEST],
                source_type="workbench",
                source=json.dumps({"part": data.get("source", "")}),
                profile=json.dumps(facts),
            ),
            [InputTag("mlflow.data.context", str(data.get("context", "")))],
        )
