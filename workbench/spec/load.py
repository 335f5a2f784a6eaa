"""From a spec file to named experiments.

A spec file holds `experiment = ...` or `experiments = [...]`; together they are one study, named
after the file. Loading runs the file as Python; whatever it raises becomes one line naming the place.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench.errors import InputError, SpecError, nearest, suggestion
from workbench.spec.experiment import Experiment
from workbench.spec.variant import Variant
from workbench.spec.variant_names import variant_names


def load_module(path: Path, original: Path | None = None) -> ModuleType:
    """Run a spec file and return its module; raises `SpecError` for whatever it raises.

    `original` is the place of the file that `path` is a copy of: its name, and what it imports, hold.
    """
    if not path.is_file():
        siblings = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = nearest(str(path), siblings)
        raise SpecError("no such spec file", where=path, do=f"did you mean {close[0]}?" if close else None)
    original = original or path
    for folder in (str(original.resolve().parent), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    name = f"workbench_spec_{original.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError("is not a Python file", where=path, expected="a spec file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: the types of its own parts are looked up by this name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SpecError(_complaint(error), where=_place(error, path)) from error
    return module


def _complaint(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"is not valid Python: {error.msg}"
    if isinstance(error, ImportError) and error.name == "workbench" and "cannot import name" in str(error):
        import workbench

        wrong = str(error).split("'")[1]
        return f"workbench has no part {wrong!r}; {suggestion(wrong, workbench.PARTS)}"
    return f"raised {type(error).__name__} while it was loaded: {error}"


def _place(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename or path}, line {error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "workbench/" not in f.filename]
    own = [f for f in frames if Path(f.filename).resolve() == path.resolve()] or frames
    return f"{path}, line {own[-1].lineno}" if own else str(path)


def listed(module: Any, name: str) -> list[Any]:
    """Return what a spec file holds under `names`, one or several, or else under `name`; nothing without either."""
    found = getattr(module, f"{name}s", getattr(module, name, []))
    return list(found) if isinstance(found, (list, tuple)) else [found]


def load_variants(path: Path | str) -> list[Variant]:
    """Return the named experiments of a spec file; raises `SpecError` for anything unusable in it."""
    path = Path(path)
    module = load_module(path)
    found = listed(module, "experiment")
    if not found:
        sweeps = hasattr(module, "sweep") or hasattr(module, "sweeps")
        raise SpecError(
            "holds no experiment",
            where=path,
            expected="`experiment = ...` or `experiments = [...]`",
            do="`workbench sweep` runs the sweep in it" if sweeps else None,
        )
    for item in found:
        if not isinstance(item, Experiment):
            raise SpecError(f"{item!r} is not an Experiment", where=path)
    source = path.read_text(encoding="utf-8")
    question = (module.__doc__ or "").strip().splitlines()[:1]
    names = variant_names(found, path)
    return [
        Variant(name, item, study=path.stem, source=source, path=str(path), question="".join(question))
        for name, item in zip(names, found)
    ]


def files_and_names(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the spec files among the words of a command line and the names of variants; refuses words without a file."""
    paths = [word for word in words if word.endswith(".py")]
    if not paths:
        raise SpecError(
            f"{words[0]!r} is not a spec file", expected="a Python file such as experiments/quickstart.py"
        )
    return paths, [word for word in words if word not in paths]


def choose_variants(variants: Sequence[Variant], names: Sequence[str]) -> list[Variant]:
    """Return the variants of the given names, all where none is given; a name of folds means all of them."""
    known = {variant.name: [variant] for variant in variants}
    for variant in variants:
        fold = variant.experiment.fold
        if fold is not None and fold.name is not None and not any(v.name == fold.name for v in variants):
            known.setdefault(fold.name, []).append(variant)
    for name in names:
        if name not in known:
            raise SpecError(f"no variant {name!r}", where=variants[0].path, do=suggestion(name, known))
    return [variant for name in names for variant in known[name]] if names else list(variants)
