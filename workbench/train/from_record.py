"""A run as its own record has it: its spec made again, ready to go on with, to use, or to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench import names
from workbench.errors import RecordError, SpecError
from workbench.lazy import tf
from workbench.models.build import build_model
from workbench.spec.experiment import Experiment
from workbench.spec.load import load_module, load_variants
from workbench.spec.overrides import override_settings, with_seed
from workbench.spec.part import from_json
from workbench.spec.variant import Variant
from workbench.tracking.rows import StartRecord
from workbench.tracking.runs import find_run, is_resumable, read_state
from workbench.tracking.store import Store, find_store
from workbench.train import checkpoint


@dataclass(frozen=True)
class RecordedRun:
    """One run of a store: its full name, its first start row and its experiment."""

    store: Store
    run: str
    start: StartRecord
    experiment: Experiment

    @property
    def checkpoints(self) -> Path:
        """The folder of the run's checkpoints."""
        return self.store.run_checkpoints(self.run)


def open_run(text: str, address: str | None = None) -> RecordedRun:
    """Return the run that `text` means in the store at `address` (None: the project's).

    Raises `RecordError` for a run that is not there, or that this workbench did not make.
    """
    store = find_store(address)
    run = find_run(store, text)
    journal = read_state(store, run).journal
    if journal is None or journal.start is None or not journal.start.spec:
        raise RecordError("has no spec in its record", where=run, do="choose a run of this workbench")
    return RecordedRun(store, run, journal.start, recorded_experiment(journal.start))


def recorded_variant(store: Store, run: str, resumable: bool = False) -> Variant:
    """Return the variant that a run was made of, from its own record.

    Raises `RecordError` where the journal has no start, or (with `resumable`) nothing is left to do.
    """
    state = read_state(store, run)
    start = state.journal.start if state.journal else None
    if start is None:
        raise RecordError("its journal has no readable start", where=run)
    if resumable and state.status == names.RUNNING:
        raise RecordError("is still running", where=run, do="wait for it, or stop it first")
    if resumable and not is_resumable(state):
        raise RecordError(f"is {state.status}", where=run, expected="an unfinished run")
    return variant_of(start, recorded_experiment(start))


def variant_of(start: StartRecord, experiment: Experiment) -> Variant:
    """Return the variant that a start row tells of, with `experiment` as its settings."""
    return Variant(
        start.name, experiment, study=start.study, path=str(start.provenance.get("spec_path", "")),
        question=str(start.provenance.get("question", "")), quick=start.quick,
        overrides=overrides(start),
    )  # fmt: skip


def overrides(start: StartRecord) -> dict[str, str]:
    """Return what changed each setting that did not come from the spec file: {setting: "--set ..."}."""
    origins = start.provenance.get("origins", {})
    return {name: how for name, how in origins.items() if how not in ("spec", "default")}


def recorded_experiment(start: StartRecord) -> Experiment:
    """Return the experiment of a start row.

    The spec file is run only where it defines parts itself, or where settings held secrets, which the
    record does not hold.
    """
    if start.tags.get(names.TAG_KIND) == names.SWEEP:
        raise RecordError(
            "is a sweep", where=start.run, expected="a training",
            do=f"`workbench sweep {start.provenance.get('spec_path', 'FILE')} --resume` goes on with it",
        )  # fmt: skip
    if start.provenance.get("masked"):
        return _from_file(start)
    try:
        experiment = from_json(dict(start.spec), where=start.run)
    except SpecError:
        path = Path(str(start.provenance.get("spec_path", "")))
        load_module(path)
        experiment = from_json(dict(start.spec), where=start.run)
    assert isinstance(experiment, Experiment)
    if experiment.id != start.id:
        raise RecordError(
            f"the recorded settings have the identity {experiment.id} in this version, not {start.id}",
            where=start.run, do="resume with the version of the workbench that began it",
        )  # fmt: skip
    return experiment


def _from_file(start: StartRecord) -> Experiment:
    """Return the experiment of the spec file that has the run's identity: its secrets are only there."""
    path = Path(str(start.provenance.get("spec_path", "")))
    found = [with_seed(variant, start.seed) for variant in load_variants(path)]
    found += [override_settings(variant, set_words(start)) for variant in found]
    for variant in found:
        if variant.experiment.id == start.id:
            return variant.experiment
    raise RecordError(
        "settings of it hold secrets, which are not in the record, and no variant of the spec file has its identity",
        where=start.run, expected=f"{path} as it was when the run began",
    )  # fmt: skip


def set_words(start: StartRecord) -> list[str]:
    """Return the `setting=value` texts that the run was started with."""
    return list(
        dict.fromkeys(
            how.removeprefix("--set ") for how in overrides(start).values() if how.startswith("--set ")
        )
    )


def load_model(experiment: Experiment, folder: Path, which: str = "best") -> tf.keras.Model:
    """Return the model with the weights of a run's `best` or `last` checkpoint in `folder`.

    Raises `RecordError` where there is no sound checkpoint or it does not fit the spec.
    """
    path = folder / checkpoint.BEST
    state = checkpoint.read(path) if which == "best" and path.exists() else checkpoint.newest(folder)
    if state is None:
        raise RecordError("no checkpoint", where=folder, do="run the experiment first, or resume it")
    embedder = build_model(experiment)
    checkpoint.restore_embedder(embedder, state)
    return embedder
