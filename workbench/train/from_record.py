"""A run as its own record has it: its spec made again, ready to go on with, to use, or to repeat."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import names
from workbench.errors import RecordError, SpecError, few
from workbench.lazy import tf
from workbench.models.build import build_model
from workbench.spec.experiment import Experiment
from workbench.spec.load import load_module, load_variants
from workbench.spec.overrides import override_settings, with_seed
from workbench.spec.part import CODE, OtherCode, from_json
from workbench.spec.variant import Variant
from workbench.tracking.journal import Journal, read_journal
from workbench.tracking.origin import is_own, is_unchanged
from workbench.tracking.remarks import require_start
from workbench.tracking.rows import StartRecord
from workbench.tracking.runs import find_run, is_resumable, read_state
from workbench.tracking.store import Store, find_store
from workbench.train import checkpoint, checkpoint_file
from workbench.train.classifier import Outputs, with_classes

KEPT = "spec.py"  # among a run's artifacts: its spec file as it was
CODE_MARK = f'"{CODE}": '  # in the JSON of a spec that says what its own parts were


@dataclass(frozen=True)
class RecordedRun:
    """One run of a store: its full name, its first start row and its experiment."""

    store: Store
    run: str
    start: StartRecord
    experiment: Experiment
    trusted: bool = True  # `open_run` says: this store made it, or its user trusts whoever did

    @property
    def has_its_code(self) -> bool:
        """Whether its own parts have the sources here that they had when it ran."""
        return self.start.id in (self.experiment.id, self.experiment.identity(codes=False))

    @property
    def journal(self) -> Journal:
        """Its record, as it is now."""
        return read_journal(self.store.journal(self.run))

    @property
    def checkpoints(self) -> Path:
        """The folder of the run's checkpoints."""
        return self.store.run_checkpoints(self.run)


def open_run(
    text: str, address: str | None = None, any_code: bool = False, trust_code: bool = False
) -> RecordedRun:
    """Return the run that `text` means in the store at `address` (None: the project's).

    With `any_code` its own parts may have other sources now, for those who only compare. Code of a record that
    another store made is run only with `trust_code`. Raises `RecordError` for a run that is not there, or that
    this workbench did not make.
    """
    store = find_store(address)
    return read_run(store, find_run(store, text), any_code, trust_code)


def read_run(store: Store, run: str, any_code: bool = False, trust_code: bool = False) -> RecordedRun:
    """Return the run of a full name; as `open_run`."""
    journal = read_state(store, run).journal
    if journal.unreadable:
        raise RecordError(f"unreadable: {journal.unreadable}", where=run)
    if journal.start is None:
        raise no_spec(run)
    experiment = recorded_experiment(journal.start, any_code, store, trust_code)
    return RecordedRun(store, run, journal.start, experiment, trust_code or is_own(store, journal.start))


def no_spec(run: str, imported: bool = False) -> RecordError:
    """Return the refusal of a run that cannot be trained or asked for its model: it has no spec in its record."""
    what = "was imported from files: it has no spec and no model" if imported else "has no spec in its record"
    return RecordError(what, where=run, do="choose a run that was trained here")


def recorded_variant(store: Store, run: str, resumable: bool = False, trust_code: bool = False) -> Variant:
    """Return the variant that a run was made of, from its own record.

    Raises `RecordError` where the journal has no start, or (with `resumable`) nothing is left to do.
    """
    state = read_state(store, run)
    start = require_start(state.journal)
    if resumable and state.status == names.RUNNING:
        raise RecordError("is still running", where=run, do="wait for it, or stop it first")
    if resumable and not is_resumable(state):
        raise RecordError(f"is {state.status}", where=run, expected="an unfinished run")
    experiment = recorded_experiment(start, store=store, trust_code=trust_code)
    return variant_of(start, experiment, trust_code or is_own(store, start))


def variant_of(start: StartRecord, experiment: Experiment, trusted: bool) -> Variant:
    """Return the variant that a start row tells of, with `experiment` as its settings.

    The file that a record of another store names is not read: it may be any file of this machine.
    """
    return Variant(
        start.name,
        experiment,
        study=start.study,
        path=str(spec_path(start)) if trusted and spec_path(start).name else "",
        question=str(start.provenance.get("question", "")),
        quick=start.quick,
        overrides=overrides(start),
    )


def spec_path(start: StartRecord) -> Path:
    """Return where the spec file of a run lay, from its record: the one place that makes a path of it."""
    return Path(str(start.provenance.get("spec_path", "")))


def overrides(start: StartRecord) -> dict[str, str]:
    """Return what changed each setting that did not come from the spec file: {setting: "--set ..."}."""
    origins = start.provenance.get("origins", {})
    return {name: how for name, how in origins.items() if how not in ("spec", "default")}


def recorded_experiment(
    start: StartRecord, any_code: bool = False, store: Store | None = None, trust_code: bool = False
) -> Experiment:
    """Return the experiment of a start row.

    Code is run only where the spec file defines parts itself, or where settings held secrets, which the
    record does not hold: the spec file, and where that has changed or moved its copy in `store`. Parts whose source is not the recorded one are refused, unless with `any_code`.
    """
    if start.tags.get(names.TAG_KIND) == names.SWEEP:
        raise RecordError(
            "is a sweep",
            where=start.run,
            expected="a training",
            do=f"`workbench sweep {start.provenance.get('spec_path', 'FILE')} --resume` goes on with it",
        )
    if not start.spec:
        raise no_spec(start.run, names.TAG_IMPORTED in start.tags)
    trusted = trust_code or (store is not None and is_own(store, start))
    # Secrets are taken out of records, so only the spec file can give them back, and it is code.
    if start.provenance.get("masked"):
        _require(trusted, start, [spec_path(start)])
        return _from_file(start)
    # A recorded `trust_code=True` was said by whoever wrote the record, not by the person at this keyboard.
    if not trusted and (opened := _trusting(start.spec)):
        raise foreign(start, [f"what is in {', '.join(opened)}, which its spec trusts"])
    # Records from before sources were part of the identity still open, by the identity without them.
    legacy = CODE_MARK not in json.dumps(dict(start.spec))
    experiment = _made(start, any_code or legacy, store, trusted)
    ids = {experiment.id, experiment.identity(codes=False) if legacy else experiment.id}
    if start.id not in ids and not any_code:
        raise RecordError(
            f"the recorded settings have the identity {experiment.id} in this version, not {start.id}",
            where=start.run,
            do="resume with the version of the workbench that began it",
        )
    return experiment


def _require(trusted: bool, start: StartRecord, would_run: Iterable[object]) -> None:
    if not trusted:
        raise foreign(start, would_run)


def foreign(start: StartRecord, would_run: Iterable[object]) -> RecordError:
    """Return the refusal to run the code of a record that this store did not make."""
    return RecordError(
        f"was not made in this store, and would run code here: {few(list(would_run), 5)}",
        where=start.run,
        do="read it first; only if you trust whoever made it, say --trust-code",
    )


def _trusting(value: Any) -> list[str]:
    """Return the files that a recorded spec has opened though they hold code."""
    if isinstance(value, Mapping):
        own = [str(value.get("path", "a file"))] if value.get("trust_code") else []
        return [*own, *(found for inner in value.values() for found in _trusting(inner))]
    return (
        [found for inner in value for found in _trusting(inner)] if isinstance(value, (list, tuple)) else []
    )


def _made(start: StartRecord, any_code: bool, store: Store | None, trusted: bool) -> Experiment:
    """Return the recorded spec as a value, with the first of its possible files that has its own parts."""
    # Values first: a spec of the workbench's own parts is rebuilt without running any file.
    spec, refusals = dict(start.spec), []
    try:
        return _experiment(from_json(spec, start.run))
    except SpecError as error:
        refusals.append(error)
    if any_code and not trusted:  # only compared: nothing of it is run
        with contextlib.suppress(SpecError):
            return _experiment(from_json(spec, start.run, any_code=True))
    # From here on a file is executed, so this is the last place to ask whose it is.
    _require(trusted, start, (file for file, _ in spec_files(start, store) if file.is_file()))
    for file, original in spec_files(start, store):
        if (
            store is not None
            and original != file
            and is_own(store, start)
            and not is_unchanged(store, start, KEPT)
        ):
            continue  # changed since it was kept
        try:
            load_module(file, original)
            return _experiment(from_json(spec, start.run))
        except SpecError as error:
            refusals.append(error)
    if any_code:
        return _experiment(from_json(spec, start.run, any_code=True))
    other = next((error for error in refusals if isinstance(error, OtherCode)), None)
    if other is None:
        raise refusals[1] if len(refusals) > 1 else refusals[0]
    raise RecordError(
        f"{other.what}: the code it ran with is not here",
        where=start.run,
        expected="the sources of its own parts as they were",
        do="bring them back, or start a new run; `workbench rerun --check` names what differs",
    ) from other


def spec_files(start: StartRecord, store: Store | None) -> Iterator[tuple[Path, Path]]:
    """Yield the files that may define the parts of a run, each with the place of the spec it stands for.

    The spec file in the copy of the project that this process works in, the spec file itself, and what
    was kept of it in the record.
    """
    path = spec_path(start)
    # A copy of the project (`rerun` in a checkout) has the spec at the same place within it; that one goes first.
    if store is not None and path.is_absolute() and path.is_relative_to(store.root.parent.resolve()):
        here = Path.cwd() / path.relative_to(store.root.parent.resolve())
        if here.is_file() and here != path:
            yield here, here
    yield path, path
    kept = store.run_artifacts(start.run) / KEPT if store is not None else None
    if kept is not None and kept.is_file() and path.name:
        yield kept, path


def _experiment(value: Any) -> Experiment:
    assert isinstance(value, Experiment)
    return value


def _from_file(start: StartRecord) -> Experiment:
    """Return the experiment of the spec file that has the run's identity: its secrets are only there."""
    path = spec_path(start)
    # The identity leaves the seed out, so the file's variants get the run's before they are compared.
    found = [with_seed(variant, start.seed) for variant in load_variants(path)]
    found += [override_settings(variant, set_words(start)) for variant in found]
    for variant in found:
        if variant.experiment.id == start.id:
            return variant.experiment
    raise RecordError(
        "settings of it hold secrets, which are not in the record, and no variant of the spec file has its identity",
        where=start.run,
        expected=f"{path} as it was when the run began",
    )


def set_words(start: StartRecord) -> list[str]:
    """Return the `setting=value` texts that the run was started with."""
    return list(
        dict.fromkeys(
            how.removeprefix("--set ") for how in overrides(start).values() if how.startswith("--set ")
        )
    )


def load_model(
    experiment: Experiment, folder: Path, which: str = "best", outputs: Outputs = "embedding"
) -> tf.keras.Model:
    """Return the model with the weights of a run's `best` or `last` checkpoint in `folder`.

    It gives embeddings, or with the checkpoint's classification head class logits or probabilities
    (`outputs`). Raises `RecordError` where there is no sound checkpoint or it does not fit the spec.
    """
    return load_chosen(experiment, folder, which, outputs)[0]


def load_chosen(
    experiment: Experiment, folder: Path, which: str = "best", outputs: Outputs = "embedding"
) -> tuple[tf.keras.Model, str]:
    """Return what `load_model` does, and in words which checkpoint it is: `best, epoch 7`."""
    state, words = checkpoint_file.chosen(folder, which)
    if state is None:
        raise RecordError("no checkpoint", where=folder, do="run the experiment first, or resume it")
    return network_of(experiment, state, outputs, folder.name), words


def network_of(
    experiment: Experiment, state: checkpoint.State, outputs: Outputs = "embedding", where: str = ""
) -> tf.keras.Model:
    """Return the model with the weights of a state of the run `where`."""
    embedder = build_model(experiment)
    checkpoint.restore_embedder(embedder, state)
    if outputs != "embedding":
        return with_classes(embedder, experiment, state, outputs, where)
    return embedder
