"""What a run was made of against what is here now: spec, code, packages, machine, environment, data."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import names
from workbench.errors import InputError
from workbench.reproduce.custom_code import changed_parts, changed_untracked
from workbench.security.masking import masked
from workbench.spec.branch import trunk_name, trunk_of
from workbench.spec.datasets import default_places
from workbench.spec.labels import value_text
from workbench.spec.load import load_variants
from workbench.spec.overrides import override_settings, with_seed
from workbench.spec.quick import quick_variant
from workbench.spec.variant import Variant
from workbench.tracking import code, provenance
from workbench.tracking.journal import read_journal
from workbench.train import from_record
from workbench.train.from_record import RecordedRun

SHOWN = 12  # differences named of each ingredient on the screen; all stand in --json


@dataclass(frozen=True)
class Ingredient:
    """One ingredient: whether it is the same now (None: unknown), and each difference in words."""

    name: str
    same: bool | None
    differences: tuple[str, ...] = ()
    note: str = ""

    def lines(self) -> list[str]:
        """Return what the screen shows of it."""
        word = {True: "same", False: "differs", None: "unknown"}[self.same]
        shown = self.differences[:SHOWN]
        more = len(self.differences) - len(shown)
        head = f"  {self.name:<12} {word}{': ' + self.note if self.note else ''}"
        return [
            head,
            *(f"    {text}" for text in shown),
            *([f"    and {more} more (--json names all)"] if more else []),
        ]


@dataclass(frozen=True)
class Comparison:
    """All ingredients of a run, in the order in which they matter."""

    ingredients: tuple[Ingredient, ...] = field(default_factory=tuple)

    @property
    def differing(self) -> list[str]:
        return [found.name for found in self.ingredients if found.same is False]

    def lines(self) -> list[str]:
        """Return what the screen shows."""
        return [line for found in self.ingredients for line in found.lines()]

    def to_json(self) -> dict[str, Any]:
        """Return {ingredient: {"same", "differences", "note"}}."""
        return {
            found.name: {"same": found.same, "differences": list(found.differences), "note": found.note}
            for found in self.ingredients
        }


def compare(run: RecordedRun) -> Comparison:
    """Return every ingredient of a recorded run against what is here now; nothing is trained."""
    return Comparison((spec(run), code_of(run), packages(run), machine(run), environment(run), data(run)))


# ---------------------------------------------------------------- one ingredient each


def spec(run: RecordedRun) -> Ingredient:
    """Compare the recorded settings with those that the spec file has now for the same variant."""
    path = from_record.spec_path(run.start)
    if not run.trusted:
        words = f"{path} is not run: the record was not made in this store (--trust-code)"
        return Ingredient("spec", None, note=f"{words}; the record's settings are used")
    if not path.is_file():
        return Ingredient("spec", None, note=f"{path} is not here; the record's settings are used")
    if names.TAG_SWEEP in run.start.tags:
        sweep = run.start.tags[names.TAG_SWEEP]
        return Ingredient("spec", None, note=f"a trial of the sweep {sweep}; the record's settings are used")
    try:
        variants = _variants(path)
    except InputError as error:
        return Ingredient("spec", None, note=f"{error}; the record's settings are used")
    if run.start.name not in variants:
        words = f"{path} has no variant {run.start.name!r} any more"
        return Ingredient("spec", False, (words,), "the record's settings are used")
    try:
        now = _as_started(run, variants[run.start.name])
    except InputError as error:
        return Ingredient("spec", False, (str(error),), "the record's settings are used")
    differing = now.diff(run.experiment)
    # A part that is not there now takes its settings with it: that it is gone says all.
    gone = [
        name for name, (here, _) in differing.items() if here is None and name.rpartition(".")[0] in differing
    ]
    differing = {name: values for name, values in differing.items() if name not in gone}
    words_ = tuple(
        f"{name}: {_shown(there)} in the record, {_shown(here)} in {path} now"
        for name, (here, there) in differing.items()
    )
    return Ingredient("spec", not words_, words_, "the record's settings are used" if words_ else "")


def _variants(path: Path) -> dict[str, Variant]:
    """Return the variants of a spec file by name, the trunks of its branches among them."""
    found = {variant.name: variant for variant in load_variants(path)}
    for variant in list(found.values()):
        root = trunk_of(variant.experiment)
        while root is not None:
            found.setdefault(trunk_name(root), dataclasses.replace(variant, experiment=root))
            root = trunk_of(root)
    return found


def _as_started(run: RecordedRun, variant: Variant) -> Any:
    """Return the file's experiment with the overrides, the seed and --quick that the run was started with."""
    variant = override_settings(variant, from_record.set_words(run.start))
    if run.start.quick:
        variant = quick_variant(variant, default_places(run.store.root.parent))
    return with_seed(variant, run.start.seed).experiment


def _shown(value: Any) -> str:
    return "off" if value is None else str(masked(value_text(value)))


def code_of(run: RecordedRun) -> Ingredient:
    """Compare the sources of own parts, commit, uncommitted changes and kept modules that git does not know.

    Without a repository the workbench's own files are compared.
    """
    facts, now = run.start.provenance, current(run)
    found = changed_parts(run)
    same = facts["engine"] == provenance.engine() if facts.get("engine") else None
    if not facts.get("commit"):
        words = "no repository was recorded; the workbench's own files are compared"
        found += ["the workbench's own files differ"] if same is False else []
        return Ingredient("code", False if found else same, tuple(found), words)
    if now is None:
        words = f"commit {facts['commit'][:12]}; there is no repository here"
        return Ingredient("code", False if found else None, tuple(found), words)
    found += changed_untracked(run, now.top)
    if now.commit != facts["commit"]:
        found.append(f"commit {facts['commit'][:12]} in the record, {now.commit[:12]} here")
    if now.digest != recorded_diff(run):
        before, after = ("changes" if there else "no changes" for there in (recorded_diff(run), now.digest))
        found.append(f"{before} beyond the commit in the record, {'other ' * bool(now.digest)}{after} here")
    if not provenance.engine_folder().is_relative_to(now.top) and same is False:
        found.append("the workbench's own files differ; they are not in this repository")
    same = not found
    commits = {row.provenance.get("commit") for row in read_journal(run.store.journal(run.run)).starts}
    found += [f"the run was resumed with other code: {len(commits)} commits"] if len(commits) > 1 else []
    note = f"commit {facts['commit'][:12]}{' with uncommitted changes' * bool(facts.get('uncommitted'))}"
    return Ingredient("code", same, tuple(found), note)


def current(run: RecordedRun) -> code.CodeState | None:
    """Return the state of the code that a run of this spec would use here."""
    path = from_record.spec_path(run.start)
    # Git obeys the settings of a folder: that of a foreign record is not asked.
    project = run.store.root.parent
    beside = code.state(path.resolve().parent) if run.trusted and path.is_file() else None
    return beside or code.state(project)


def recorded_diff(run: RecordedRun) -> str:
    """Return the digest of the recorded uncommitted changes; empty for none."""
    facts = run.start.provenance
    if facts.get("diff") or not facts.get("uncommitted"):
        return str(facts.get("diff", ""))
    path = run.store.run_artifacts(run.run) / code.DIFF
    return code.diff_digest(path.read_bytes()) if path.is_file() else "unknown"


def packages(run: RecordedRun) -> Ingredient:
    """Compare the installed packages with the recorded list, each difference by name."""
    path = run.store.run_artifacts(run.run) / "packages.txt"
    if not path.is_file():
        return Ingredient("packages", None, note="no list of packages was recorded")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    before = {name: version for name, _, version in (line.partition("==") for line in lines)}
    now = provenance.installed_packages()
    found = _changes(before, now, "not installed")
    # Those that compute first: a screen shows a dozen, and hundreds may differ.
    first = sorted(found, key=lambda text: text.split(":")[0] not in provenance.NAMED_VERSIONS)
    note = provenance.stack_change(before, now) if first else f"{len(before)} of them"
    return Ingredient("packages", not first, tuple(first), note)


def machine(run: RecordedRun) -> Ingredient:
    """Compare Python, the system and the processor's model, which decide about the last bits."""
    facts = run.start.provenance
    now = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": provenance.processor(),
    }
    before = {name: str(facts[name]) for name in now if facts.get(name)}
    found = _changes(before, {name: now[name] for name in before}, "unknown")
    return Ingredient("machine", not found if before else None, tuple(found), now["processor"])


def environment(run: RecordedRun) -> Ingredient:
    """Compare the environment variables that can change a training."""
    before = run.start.provenance.get("environment")
    if before is None:
        return Ingredient("environment", None, note="no variables were recorded")
    found = _changes(provenance.set_by_users(before), provenance.environment(), "not set")
    return Ingredient("environment", not found, tuple(found))


def data(run: RecordedRun) -> Ingredient:
    """Compare the fingerprints of all sources and sets; they are opened for that."""
    from workbench.train.run_data import RunData

    before = run.start.provenance.get("data")
    if not before:
        return Ingredient("data", None, note="no fingerprint was recorded")
    try:
        where = default_places(run.store.root.parent)
        opened = RunData(run.experiment, where, run.start.provenance.get("steps"))
    except InputError as error:
        return Ingredient("data", False, (str(error),), "cannot be opened")
    found = _changes(dict(before), masked(opened.fingerprints), "not there")
    return Ingredient("data", not found, tuple(found))


def _changes(before: Mapping[str, str], now: Mapping[str, str], absent: str) -> list[str]:
    names = dict.fromkeys((*before, *now))
    return [
        f"{name}: {before.get(name, absent)} in the record, {now.get(name, absent)} here"
        for name in names
        if before.get(name) != now.get(name)
    ]
