"""Which of a run's own code is another one now: its parts by the digest of their source, modules by their text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.security.masking import mask
from workbench.spec.custom_source import code_of, is_custom
from workbench.spec.load import load_module
from workbench.spec.part import CODE, REGISTRY
from workbench.train.from_record import RecordedRun, spec_path


def changed_parts(run: RecordedRun) -> list[str]:
    """Return in words which parts of the run's own have another source in the spec file now."""
    recorded = dict(recorded_codes(run.start.spec))
    if not recorded:
        return []
    if not run.trusted:
        return [f"{name}: not run, the record was not made in this store (--trust-code)" for name in recorded]
    path = spec_path(run.start)
    try:
        load_module(path)
    except InputError as error:
        return [f"{name}: its source cannot be read now ({error})" for name in recorded]
    words = []
    for name, before in recorded.items():
        now = REGISTRY.get(name)
        if now is None or not is_custom(now):
            words.append(f"{name} is not defined in {path} any more")
        elif code_of(now) != before:
            words.append(
                f"{name}: its source, with what it uses, was {before} and is {code_of(now)} in {path}"
            )
    return words


def recorded_codes(spec: Any) -> Iterator[tuple[str, str]]:
    """Yield name and digest of every part in a recorded spec that is not the workbench's own."""
    if isinstance(spec, dict):
        if CODE in spec and "part" in spec:
            yield str(spec["part"]), str(spec[CODE])
        for inner in spec.values():
            yield from recorded_codes(inner)
    elif isinstance(spec, (list, tuple)):
        for inner in spec:
            yield from recorded_codes(inner)


def changed_untracked(run: RecordedRun, top: Path) -> list[str]:
    """Return in words which modules that git does not know are other ones now than those kept."""
    kept = run.store.run_artifacts(run.run) / "untracked"
    words = []
    for path in sorted(kept.rglob("*.py")) if kept.is_dir() else ():
        name = path.relative_to(kept)
        if not (top / name).is_file():
            words.append(f"{name}, which git does not know, is gone")
        # Masked, as what was kept is.
        elif mask((top / name).read_text(encoding="utf-8", errors="replace"), code=True) != path.read_text(
            encoding="utf-8"
        ):
            words.append(f"{name}, which git does not know, has changed")
    return words
