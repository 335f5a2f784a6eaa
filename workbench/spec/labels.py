"""The smallest set of settings that tells runs apart, for legends, run names and table columns.

A hundred runs named by hand end up as `TT_ghostnet_prelu_GDC_arc_emb512_dr0_sgd_l2_5e4_bs1024`; here a
run is named by what makes it different from the runs beside it. Everything is a pure function of flat
parameter dicts (`{"backbone": "MobileNet", "stages.1.loss.scale": 16, ...}`); a missing key is a
setting that is off. The seed never names a setting: it only tells apart runs that are equal otherwise.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SEED = "seed"
OFF = "off"
VAGUE = ("value", "name", "kind", "size", "rate", "per")  # last words that say nothing without their parent
EXACT_SETTINGS = 24  # up to here every pair and triple of settings is tried; beyond, greedy choice
EXACT_SIZE = 3

Parameters = Mapping[str, Any]


def value_text(value: Any) -> str:
    """Return a setting's value as a reader writes it: `0.0005`, `5e-05`, `MobileNet`, `off` for None."""
    if value is None:
        return OFF
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        short = format(value, "g")
        return short if float(short) == value or value != value else repr(value)
    if isinstance(value, list | tuple):
        return "+".join(value_text(item) for item in value)
    return str(value)


def differing(parameters: Sequence[Parameters]) -> list[str]:
    """Return the settings whose values are not the same in all runs, in first-seen order, seed left out."""
    names = dict.fromkeys(name for run in parameters for name in run if name != SEED)
    return [name for name in names if len(set(_column(name, parameters))) > 1]


def distinguishing(parameters: Sequence[Parameters]) -> list[dict[str, Any]]:
    """Return, for each run, the settings that tell it apart: the same few short names for all runs.

    Settings with one value in all runs are dropped. Of the rest the smallest set is chosen that separates
    all runs that can be separated; among sets of one size the one that most runs have, with the shortest
    values and names, then the earliest. Runs that are equal but for the seed get `seed` as well. Names are shortened to their last
    dotted words where that is unambiguous. Runs that differ in nothing get an empty dict.
    """
    chosen = minimal_settings(parameters)
    short = short_names(chosen, itertools.chain.from_iterable(parameters))
    found = [{short[name]: run.get(name) for name in chosen} for run in parameters]
    signatures = [tuple(value_text(run.get(name)) for name in chosen) for run in parameters]
    for members in _groups(signatures).values():
        seeds = [parameters[index].get(SEED) for index in members]
        if len(set(seeds)) > 1:
            for index, seed in zip(members, seeds, strict=True):
                found[index][SEED] = seed
    return found


def labels(
    parameters: Sequence[Parameters], names: Sequence[str] | None = None, separator: str = ", "
) -> list[str]:
    """Return one label a run, all different: its distinguishing settings, else its seed, else its name.

    `names` (same length as `parameters`) are used for runs that no setting and no seed tells apart;
    without them, and where two names are equal too, runs are numbered `#1`, `#2` in their order.
    """
    found = [
        separator.join(_phrase(name, value) for name, value in run.items())
        for run in distinguishing(parameters)
    ]
    for label, members in _groups(found).items():
        if len(members) > 1 or not label:
            for index, extra in zip(members, _last_resort(members, names), strict=True):
                found[index] = separator.join(part for part in (label, extra) if part)
    return found


def minimal_settings(parameters: Sequence[Parameters]) -> list[str]:
    """Return the full names of the smallest set of settings that separates what can be separated.

    A setting of a part of which the runs have several classes comes with the class: a margin of ArcFace
    and one of CosFace are two things.
    """
    columns = {name: _column(name, parameters) for name in differing(parameters)}
    candidates = _one_of_each_partition(columns)
    target = len(set(zip(*columns.values(), strict=True))) if columns else 1
    if target <= 1:
        return []
    sizes = range(1, min(EXACT_SIZE, len(candidates)) + 1) if len(candidates) <= EXACT_SETTINGS else (1, 2)
    for size in sizes:
        for chosen in _with_classes(itertools.combinations(candidates, size), columns):
            if len(set(zip(*(columns[name] for name in chosen), strict=True))) == target:
                return _in_order(chosen, columns)
    greedy = _greedy(candidates, columns, target)
    return _in_order(_with_classes([greedy], columns)[0], columns)


def _with_classes(
    choices: Iterable[Sequence[str]], columns: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Return each choice of settings with the differing classes that they belong to, the smallest first."""
    whole = [
        tuple(dict.fromkeys(part for name in chosen for part in (*_owners(name, columns), name)))
        for chosen in choices
    ]
    return sorted(whole, key=len)  # stable: among equally many the most readable stays first


def _owners(name: str, columns: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the parts above a setting whose class is not the same in all runs, the outermost first."""
    words = name.split(".")
    above = (".".join(words[:count]) for count in range(1, len(words)))
    return [owner for owner in above if owner in columns]


def short_names(chosen: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Map each chosen dotted name to its shortest ending that means no other of the `known` names."""
    known = dict.fromkeys(known)
    endings = Counter(ending for name in known for ending in _endings(name))
    return {
        name: next((ending for ending in _endings(name) if endings[ending] <= 1 and _readable(ending)), name)
        for name in chosen
    }


def _column(name: str, parameters: Sequence[Parameters]) -> tuple[str, ...]:
    return tuple(value_text(run.get(name)) for run in parameters)


def _cost(name: str, column: Sequence[str]) -> tuple[int, int, int]:
    """Return what makes a setting hard to read: runs without it, its longest value, the length of its name."""
    return sum(value == OFF for value in column), max(len(value) for value in column), len(name)


def _one_of_each_partition(columns: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the settings, the most readable first, keeping one of those that split the runs alike."""
    best: dict[tuple[int, ...], str] = {}
    # Sorting is stable: of equal costs the earlier name stays first.
    for name in sorted(columns, key=lambda name: (len(_owners(name, columns)), *_cost(name, columns[name]))):
        codes: dict[str, int] = {}
        split = tuple(codes.setdefault(value, len(codes)) for value in columns[name])
        best.setdefault(split, name)
    return list(best.values())


def _greedy(candidates: Sequence[str], columns: Mapping[str, tuple[str, ...]], target: int) -> list[str]:
    """Add the setting that separates most until all are separated, then drop what became needless."""

    def separated(names: Sequence[str]) -> int:
        return len(set(zip(*(columns[name] for name in names), strict=True))) if names else 1

    chosen: list[str] = []
    while separated(chosen) < target:
        rest = [name for name in candidates if name not in chosen]
        chosen.append(max(rest, key=lambda name: separated([*chosen, name])))
    for name in reversed(chosen[:]):
        without = [other for other in chosen if other != name]
        if separated(without) == target:
            chosen = without
    return chosen


def _in_order(chosen: Iterable[str], columns: Mapping[str, Any]) -> list[str]:
    return [name for name in columns if name in set(chosen)]


def _endings(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[start:]) for start in range(len(words) - 1, -1, -1)]


def _readable(ending: str) -> bool:
    return ending[:1].isalpha() and ending not in VAGUE


def _phrase(name: str, value: Any) -> str:
    """Return `name=value`; a class such as `MobileNet` says enough without its name, a seed has no `=`."""
    text = value_text(value)
    if name == SEED:
        return f"seed {text}"
    bare = isinstance(value, str) and value.isidentifier() and value[0].isupper()
    return text if bare else f"{name}={text}"


def _groups(keys: Iterable[Any]) -> dict[Any, list[int]]:
    groups: dict[Any, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return groups


def _last_resort(members: Sequence[int], names: Sequence[str] | None) -> list[str]:
    """Return the names of runs that are alike, or `#1`, `#2` ... where names are missing or equal."""
    own = [names[index] if names is not None else "" for index in members]
    again = Counter(own)
    count: Counter[str] = Counter()
    result = []
    for name in own:
        count[name] += 1
        numbered = again[name] > 1 or not name
        result.append(" ".join(part for part in (name, f"#{count[name]}" if numbered else "") if part))
    return result
