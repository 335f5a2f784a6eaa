"""Where the pages of `workbench ui` are, so that MLflow's page of a run can lead to its curves and its study's report."""

from __future__ import annotations

import re
from urllib.parse import quote

from workbench.tracking.rows import StartRecord
from workbench.views.mlflow_values import safe_name

MLFLOW_PORT, TENSORBOARD_PORT, REPORT_PORT = 5000, 6006, 5001  # unless `workbench ui` is told others


def board_title(start: StartRecord) -> str:
    """Return what a run is called in a TensorBoard of its study alone."""
    return f"{start.name or start.run}-{start.seed}"


def board_link(start: StartRecord) -> str:
    """Return the address of a run's curves, in the TensorBoard of all runs and in that of its study."""
    filter_ = f"{re.escape(start.run[-8:])}$|^{re.escape(safe_name(board_title(start)))}$"
    return f"http://127.0.0.1:{TENSORBOARD_PORT}/?runFilter={quote(filter_, safe='')}#timeseries"


def report_link(study: str, port: int = REPORT_PORT) -> str:
    """Return the address of a study's report."""
    return f"http://127.0.0.1:{port}/{quote(study.replace('/', '_'))}/"


def sentence(start: StartRecord) -> str:
    """Return the line of a run's description that leads on, in Markdown."""
    return (
        f"[Curves in TensorBoard]({board_link(start)}), [report of the study]({report_link(start.study)}): "
        "while `workbench ui` runs."
    )
