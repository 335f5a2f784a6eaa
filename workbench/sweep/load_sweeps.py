"""Sweeps out of a spec file: `sweep = ...` or `sweeps = [...]`, each with the base it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.errors import SpecError, suggestion
from workbench.spec.load import listed, load_module, load_variants
from workbench.spec.variant import Variant
from workbench.sweep.spec import Sweep


def load_sweeps(path: Path | str) -> list[tuple[Sweep, Variant]]:
    """Return the sweeps of a spec file with their bases; raises `SpecError` for anything unusable in it."""
    path = Path(path)
    module = load_module(path)
    found = listed(module, "sweep")
    if not found:
        raise SpecError("holds no sweep", where=path, expected="`sweep = Sweep(...)` or `sweeps = [...]`")
    for item in found:
        if not isinstance(item, Sweep):
            raise SpecError(f"{item!r} is not a Sweep", where=path)
    names = [item.name or path.stem for item in found]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"two sweeps named {name!r}", where=path, do="give one of them a name=")
    question = (module.__doc__ or "").strip().splitlines()[:1]
    source = path.read_text(encoding="utf-8")
    return [
        (
            item,
            Variant(
                name, item.base, study=path.stem, source=source, path=str(path), question="".join(question)
            ),
        )
        for name, item in zip(names, found)
    ]


def variants_or_bases(path: Path | str) -> list[Variant]:
    """Return the named experiments of a spec file; of a file that holds sweeps alone, the bases of those."""
    module = load_module(Path(path))
    alone = not hasattr(module, "experiment") and not hasattr(module, "experiments")
    if alone and (hasattr(module, "sweep") or hasattr(module, "sweeps")):
        return [base for _, base in load_sweeps(path)]
    return load_variants(path)


def choose_sweeps(
    found: Sequence[tuple[Sweep, Variant]], names: Sequence[str]
) -> list[tuple[Sweep, Variant]]:
    """Return the sweeps of the given names, all where none is given."""
    known = {variant.name: (sweep, variant) for sweep, variant in found}
    for name in names:
        if name not in known:
            raise SpecError(f"no sweep {name!r}", where=found[0][1].path, do=suggestion(name, known))
    return [known[name] for name in names] if names else list(found)
