"""What MLflow's page of a study shows first: sorted by the best value of what counts, with the settings that differ.

MLflow keeps a shared view as a tag of the experiment and opens it by its key in the address, so nobody has to choose
columns by hand, and whoever changes them in the page changes their own view only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.names import BEST_PREFIX, LOSS, LOWER, direction
from workbench.tracking.store import Store
from workbench.views import shown_runs
from workbench.views.mlflow_values import best_so_far, parameter_texts, safe_key

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "workbench"  # of the view, in the address of the page
TAG_VIEW = f"mlflow.sharedViewState.{KEY}"
# Without it the page asks whether the experiment is one of language models.
TAG_TYPE = "mlflow.experimentKind"
TYPE = "custom_model_development"
MOST_SETTINGS, MOST_METRICS = 10, 4  # columns that fit a screen beside the name
LETTER, LEAST_WIDTH = 9, 90  # pixels of a column: MLflow cuts the names of those of its own width


def save(client: MlflowClient, store: Store, study: str) -> str | None:
    """Keep the view of a study in MLflow and return the path of its page; None where MLflow has no such study."""
    found = client.get_experiment_by_name(study or "default")
    if found is None:
        return None
    text = json.dumps(view(shown_runs.read(store, shown_runs.chosen(store, [study]))))
    for tag, value in ((TAG_VIEW, text), (TAG_TYPE, TYPE)):
        if found.tags.get(tag) != value:
            client.set_experiment_tag(found.experiment_id, tag, value)
    return page(found.experiment_id)


def page(experiment_id: str) -> str:
    """Return the path of an experiment's page with the saved view."""
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"


def view(shown: Sequence[shown_runs.ShownRun]) -> dict[str, Any]:
    """Return the state of MLflow's page: its order, and its columns from left to right."""
    objective = shown_runs.objective_of(shown)
    kept = {
        safe_key(tag) for one in shown for best in best_so_far(one.rows, objective).values() for tag in best
    }
    names = shown_runs.metrics(shown)
    best = [tag for tag in shown_runs.best_tags(names, objective, kept) if tag != f"{BEST_PREFIX}{LOSS}"]
    settings = shown_runs.varying([parameter_texts(one.start.parameters) for one in shown])
    columns = [
        *(f"metrics.`{tag}`" for tag in best[:MOST_METRICS]),
        *(f"params.`{name}`" for name in settings[:MOST_SETTINGS]),
        "attributes.`Models`",
    ]
    known = objective is not None and f"{BEST_PREFIX}{objective}" in best
    return {
        "searchFilter": "",
        "orderByKey": f"metrics.`{BEST_PREFIX}{objective}`" if known else "attributes.start_time",
        "orderByAsc": known and direction(str(objective)) == LOWER,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {name: max(LEAST_WIDTH, LETTER * len(name.split("`")[1]) + 30) for name in columns},
        "runsHiddenMode": "FIRST_20_RUNS",
    }
