"""What an experiment made in Python is called: its study, and its name there."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from workbench.errors import SpecError
from workbench.spec.experiment import Experiment
from workbench.spec.load import choose_variants, load_variants
from workbench.spec.part import from_json
from workbench.spec.variant import Variant
from workbench.spec.variant_names import FIRST, difference_name
from workbench.tracking.journal import first_start
from workbench.tracking.store import Store

NOTEBOOK = ("JPY_SESSION_NAME", "VSCODE_NOTEBOOK")  # where Jupyter says how a notebook's file is called
DEFAULT = "notebook"


def variant_of(
    experiment: Experiment | Variant | str | Path, store: Store, name: str | None, study: str | None
) -> Variant:
    """Return the variant that is meant: an experiment as it is, or one of a spec file by its `name`."""
    if isinstance(experiment, Variant):
        return experiment
    if isinstance(experiment, (str, Path)):
        return _of_file(experiment, name)
    if not isinstance(experiment, Experiment):
        raise SpecError(
            f"{experiment!r} is not possible", where="run", expected="an Experiment or a spec file"
        )
    study = study or current_study()
    return Variant(name or experiment.name or name_within(experiment, store, study), experiment, study=study)


def _of_file(path: str | Path, name: str | None) -> Variant:
    found = choose_variants(load_variants(path), [name] if name else [])
    if len(found) > 1:
        names = ", ".join(variant.name for variant in found)
        raise SpecError(f"holds {len(found)} experiments", where=path, do=f"name one of {names}")
    return found[0]


def current_study() -> str:
    """Return the name of the notebook or script that is at work; `notebook` where neither is known."""
    given = next((os.environ[word] for word in NOTEBOOK if os.environ.get(word)), "")
    main = sys.modules.get("__main__")
    script = "" if given or main is None else str(getattr(main, "__file__", "") or "")
    stem = Path(given or script).stem
    found = re.sub(r"\W+", "_", stem).strip("_")
    return found if found and not found.startswith(("ipykernel", "pytest")) and found != "main" else DEFAULT


def name_within(experiment: Experiment, store: Store, study: str) -> str:
    """Return what tells an experiment from the first one that the study recorded; `base` is the first."""
    for run in store.runs():
        start = first_start(store.journal(run))
        if start is None or start.study != study or start.quick or "part" not in start.spec:
            continue
        try:
            first = from_json(dict(start.spec), start.run, any_code=True)
        except SpecError:
            continue
        if isinstance(first, Experiment):
            return start.name if first.id == experiment.id else difference_name(experiment, first)
    return FIRST
