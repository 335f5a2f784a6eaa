"""From a spec file and a command line to named experiments, and where each value came from.

A spec file holds `experiment = ...` or `experiments = [...]`; together they are one study, named
after the file. Loading runs the file as Python; whatever it raises becomes one line naming the place.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench import trunks
from workbench.devices.kinds import of_small_form
from workbench.errors import InputError, SpecError, nearest, suggestion
from workbench.experiment import Experiment
from workbench.families import Devices, Places, Source
from workbench.parts import Part, find, replace, walk

FIRST = "base"  # the name of a study's first variant where the spec gives none


@dataclass(frozen=True)
class Variant:
    """One experiment of a study, ready to run: its name there, and what changed it on the way.

    `overrides` says for each changed setting what changed it, such as `--set` or `--quick`.
    """

    name: str
    experiment: Experiment
    study: str = ""
    source: str = ""
    path: str = ""
    question: str = ""
    quick: bool = False
    overrides: dict[str, str] = field(default_factory=dict)


def places(project: Path | None = None) -> Places:
    """Return where data is looked for: `$WORKBENCH_DATA` (else `datasets/`), then the project."""
    project = project or Path.cwd()
    data = Path(os.environ.get("WORKBENCH_DATA") or project / "datasets")
    return Places(roots=(data, project), cache=project / "mlruns" / "cache")


def load_module(path: Path) -> ModuleType:
    """Run a spec file and return its module; raises `SpecError` for whatever it raises."""
    if not path.is_file():
        siblings = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = nearest(str(path), siblings)
        raise SpecError("no such spec file", where=path, do=f"did you mean {close[0]}?" if close else None)
    for folder in (str(path.resolve().parent), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    name = f"workbench_spec_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError("is no Python file", where=path, expected="a spec file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SpecError(_complaint(error), where=_place(error, path)) from error
    return module


def _complaint(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"is no valid Python: {error.msg}"
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


def load(path: Path | str) -> list[Variant]:
    """Return the named experiments of a spec file; raises `SpecError` for anything unusable in it."""
    path = Path(path)
    module = load_module(path)
    found = getattr(module, "experiments", None)
    if found is None:
        found = [module.experiment] if hasattr(module, "experiment") else []
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    if not found:
        sweeps = hasattr(module, "sweep") or hasattr(module, "sweeps")
        raise SpecError(
            "holds no experiment", where=path, expected="`experiment = ...` or `experiments = [...]`",
            do="`workbench sweep` runs the sweep in it" if sweeps else None,
        )  # fmt: skip
    for item in found:
        if not isinstance(item, Experiment):
            raise SpecError(f"{item!r} is no Experiment", where=path)
    source = path.read_text(encoding="utf-8")
    question = (module.__doc__ or "").strip().splitlines()[:1]
    names = variant_names(found, path)
    return [
        Variant(name, item, study=path.stem, source=source, path=str(path), question="".join(question))
        for name, item in zip(names, found)
    ]


def variant_names(experiments: Sequence[Experiment], where: object = None) -> list[str]:
    """Return a name for each: its own, else its difference from the first, which is `base`.

    A name depends on the first variant and itself only, so adding a variant changes no other name.
    """
    names = [item.name or difference_name(item, experiments[0]) for item in experiments]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"two variants named {name!r}", where=where, do="give one of them a name=")
    return names


def difference_name(experiment: Experiment, first: Experiment) -> str:
    """Return `label_smoothing=0.1,backbone=GhostNet`: what differs from the first variant.

    A branch of another trunk than the first is `@80,stages.3.loss=CosFace`: its trunk's name or difference,
    the epoch after which it leaves it, and what its own stages change.
    """
    if experiment is first:
        return FIRST
    root = trunks.trunk_of(experiment)
    if experiment.trunk is None or root is None or experiment.trunk == first.trunk:
        return _words({name: here for name, (here, _) in experiment.diff(first).items()}) or FIRST
    own = _words({
        name: here for name, here in trunks.own_parameters(experiment).items()
        if name.count(".") == 2 or not _is_default(experiment, name)
    })  # fmt: skip
    if root.trunk is not None or root.name:
        return f"{root.name or difference_name(root, first)}@{root.epochs},{own}"
    shared = {name: here for name, (here, _) in root.diff(first).items() if _of_trunk(name, root)}
    return f"{_words(shared)}@{root.epochs},{own}".rstrip(",")


def _of_trunk(setting: str, root: Experiment) -> bool:
    """Tell whether a setting says something of a trunk other than where it was cut."""
    family, _, rest = setting.partition(".")
    number, last = rest.partition(".")[0], len(root.stages)
    return family != "stages" or (int(number) <= last and setting != f"stages.{last}.epochs")


def _words(differences: Mapping[str, Any]) -> str:
    words = []
    for setting, here in differences.items():
        value = f"{here:g}" if isinstance(here, float) else ("off" if here is None else str(here))
        words.append(f"{setting}={value}")
    return ",".join(words)


def choose(variants: Sequence[Variant], names: Sequence[str]) -> list[Variant]:
    """Return the variants of the given names, all where none is given."""
    known = {variant.name: variant for variant in variants}
    for name in names:
        if name not in known:
            raise SpecError(f"no variant {name!r}", where=variants[0].path, do=suggestion(name, known))
    return [known[name] for name in names] if names else list(variants)


# ---------------------------------------------------------------- overrides


def override(variant: Variant, assignments: Sequence[str]) -> Variant:
    """Return the variant with `setting=value` texts applied, each recorded with its origin."""
    experiment, overrides = variant.experiment, dict(variant.overrides)
    for text in assignments:
        path, sign, value = text.partition("=")
        if not sign:
            raise SpecError(f"{text!r} is no override", where="--set", expected="setting=value")
        try:
            experiment = replace(experiment, path.strip(), parse_value(value.strip()))
        except SpecError as error:
            raise SpecError(str(error), where=f"--set {text}") from error
        overrides[path.strip()] = f"--set {text}"
    return _changed(variant, experiment, overrides)


def with_seed(variant: Variant, seed: int) -> Variant:
    """Return the variant with another seed."""
    return _changed(
        variant, variant.experiment.but(seed=seed), {**variant.overrides, "seed": f"--seed {seed}"}
    )


def _changed(
    variant: Variant, experiment: Experiment, overrides: dict[str, str], quick: bool = False
) -> Variant:
    return Variant(
        variant.name, experiment, study=variant.study, source=variant.source, path=variant.path,
        question=variant.question, quick=variant.quick or quick, overrides=overrides,
    )  # fmt: skip


def parse_value(text: str) -> Any:
    """Return the value a text means: a number, True, None, a tuple, a part `ArcFace(scale=32)`, else text."""
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        return text
    return _evaluate(tree, text)


def _evaluate(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_evaluate(item, text) for item in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand, text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = _evaluate(node.left, text), _evaluate(node.right, text)
        return left + right if isinstance(node.op, ast.Add) else left * right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        cls = find(node.func.id, "--set")
        named = {word.arg: _evaluate(word.value, text) for word in node.keywords if word.arg}
        return cls(*[_evaluate(item, text) for item in node.args], **named)
    return text


def origins(variant: Variant) -> dict[str, str]:
    """Return for every parameter where its value came from: `--set ...`, `--quick`, spec or default."""
    result = {}
    for name in variant.experiment.parameters():
        change = next((how for path, how in variant.overrides.items() if _within(name, path)), None)
        result[name] = change or ("default" if _is_default(variant.experiment, name) else "spec")
    return result


def _within(name: str, path: str) -> bool:
    return name == path or name.startswith(path + ".")


def _is_default(experiment: Experiment, name: str) -> bool:
    parent, _, last = name.rpartition(".")
    owner: Any = dict(walk(experiment)).get(parent)
    if not isinstance(owner, Part) or last not in type(owner).__dataclass_fields__:  # type: ignore[attr-defined]
        return False
    return bool(getattr(owner, last) == type(owner).__dataclass_fields__[last].default)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- quick


QUICK_STEPS = 4  # steps of an epoch
QUICK_EPOCHS = 1  # epochs of a stage
HELD_OUT = 0.25  # of a stand-in's images, where a validation set or what it validates is missing


def quick(variant: Variant, where: Places) -> Variant:
    """Return the small form: synthetic data where it is missing, small input, few and short epochs."""
    old = variant.experiment
    if old.validation is not None and any(s.missing(where) for s in (*old.trained_on, old.validation)):
        old = with_hold_out(old)
    data = old.data.stand_in() if old.data.missing(where) else old.data
    sets = tuple((s.stand_in() if s.missing(where) else s).quick() for s in old.sets)
    stages = tuple(_quick_stage(stage, where) for stage in old.stages)
    backbone = old.backbone.quick()
    small = old.but(
        data=data.quick(), evaluate=sets, stages=stages, backbone=backbone,
        validation=None if old.validation is None else old.validation.quick(),
        embedding=old.embedding.quick(), batch_size=min(old.batch_size, 16), devices=of_small_form(old.devices),
        start=old.start if backbone == old.backbone else None,  # another network has no place for the weights
    )  # fmt: skip
    overrides = {**variant.overrides, **dict.fromkeys(small.diff(variant.experiment), "--quick")}
    return _changed(variant, small, overrides, quick=True)


def with_hold_out(experiment: Experiment) -> Experiment:
    """Return the experiment with a held out part of the training data in the place of its validation set."""
    stages = tuple(
        stage.but(data=stage.data.but(hold_out=HELD_OUT)) if isinstance(stage.data, Source) else stage
        for stage in experiment.stages
    )
    return experiment.but(validation=None, data=experiment.data.but(hold_out=HELD_OUT), stages=stages)


def _quick_stage(stage: Any, where: Places) -> Any:
    changes: dict[str, Any] = {"epochs": min(stage.epochs, QUICK_EPOCHS)}
    if isinstance(stage.batch_size, int):
        changes["batch_size"] = min(stage.batch_size, 16)
    if isinstance(stage.data, Source):
        data = stage.data.stand_in() if stage.data.missing(where) else stage.data
        changes["data"] = data.quick()
    if isinstance(stage.devices, Devices):
        changes["devices"] = of_small_form(stage.devices)
    if stage.sampler is not None:
        changes["sampler"] = stage.sampler.quick()
    return stage.but(**changes)


__all__ = [
    "Variant", "choose", "load", "load_module", "origins", "override", "parse_value", "places",
    "quick", "variant_names", "with_hold_out", "with_seed",
]  # fmt: skip
