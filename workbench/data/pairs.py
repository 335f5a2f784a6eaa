"""Evaluation sets: pairs from a file of the field, or drawn from identities kept out of training."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Union

import numpy as np

from workbench.data import decode, pair_files, pair_formats, pair_sampling
from workbench.data.paths import locate
from workbench.data.sources import builtin
from workbench.errors import DataError, SpecError, few, suggestion
from workbench.spec.interfaces import Images, PairImages, PairSet, Places, Source
from workbench.spec.part import part, setting

Overlap = Literal["refuse", "warn"]
_NAME = re.compile(r"[A-Za-z0-9_.\-]+")


def _named(name: str, where: str) -> str:
    """Return `name` if records can carry it."""
    if not _NAME.fullmatch(name):
        raise SpecError(f"name {name!r}", where=where, expected="letters, digits, '_', '-' and '.' only")
    return name


@part
class Pairs(PairSet):
    """Pairs from a file: the field's `.bin`, a CSV or TSV list of image files, or a `.txt` as of LFW."""

    path: str = setting(positional=True, doc="the file, below WORKBENCH_DATA or absolute")
    name: Union[str, None] = setting(None, doc="name in records; by default the file's name without ending")
    folder: Union[str, None] = setting(None, doc="folder that a list's image paths start from")
    group: str = setting("group", place=True, doc="column of a list that names the subgroup of a pair")
    sets: tuple[int, ...] = setting(
        (), at_least=1, later=True, doc="sets of a `.txt` to use, counted from 1; () uses all"
    )
    overlap: Overlap = setting("refuse", place=True, doc="what happens when training has people of the set")

    def check(self) -> None:
        _named(self.label(), "Pairs.name")
        if self.sets and not self._is_view2():
            raise SpecError(f"{self.sets}", where="Pairs.sets", expected="a `.txt` as of LFW, which has sets")

    def label(self) -> str:
        return self.name if self.name is not None else Path(self.path).stem

    def open(self, places: Places, data: Source) -> PairImages:
        path = self._file(places)
        folder = locate(self.folder, places, "Pairs.folder") if self.folder else None
        found = pair_formats.read(path, folder, self.group, self.sets)
        if pair_formats.form_of(path) == pair_formats.BIN:
            return found
        strangers = frozenset(found.identities or ())
        if self.overlap == "refuse":
            return dataclasses.replace(found, strangers=strangers)
        common = _common(strangers, data, places)
        return (
            dataclasses.replace(found, notes=(*found.notes, _flatters(self.label(), common)))
            if common
            else found
        )

    def one_set(self, number: int) -> PairSet | None:
        return self.but(sets=(number,)) if self._is_view2() and not self.sets else None

    def people(self, places: Places) -> frozenset[str]:
        return pair_formats.people(self._file(places), self.sets) or super().people(places)

    def _file(self, places: Places) -> Path:
        return locate(self.path, places, f"Pairs({self.path!r})", "a file")

    def _is_view2(self) -> bool:
        return self.path.lower().endswith(".txt")

    def stand_in(self) -> PairSet:
        return _stand_in(self.label())


@part
class HeldOutPairs(PairSet):
    """Pairs of people that training never sees, drawn by a seed.

    Without a `source` the people are taken out of the training source; `identities` is how many, drawn
    by the seed, or their names. With a `source` of its own all of its people are used (or those that
    `identities` chooses), and one that has the name of a training identity is refused.
    """

    source: Union[Source, None] = setting(
        None, positional=True, doc="where the people are; None: in the training source"
    )
    identities: Union[int, tuple[str, ...], None] = setting(
        None, at_least=2, doc="people: how many, or their names"
    )
    pairs: Union[int, None] = setting(
        None, at_least=2, doc="pairs, half of them genuine; None: every genuine pair"
    )
    seed: int = setting(0, at_least=0, doc="of the drawing of people and pairs")
    name: str = setting("held_out", doc="name in records")
    overlap: Overlap = setting(
        "refuse", place=True, doc="what happens when training has identities of the same name"
    )
    draw: Literal["pairs", "people"] = setting(
        "pairs",
        later=True,
        doc="what is drawn with equal chances: genuine pairs, or people, as LFW's lists were",
    )

    def check(self) -> None:
        _named(self.name, "HeldOutPairs.name")
        if self.source is None and self.identities is None:
            raise SpecError(
                "says not who is held out",
                where="HeldOutPairs.identities",
                expected="how many people, or their names",
            )
        if isinstance(self.identities, tuple) and len(set(self.identities)) < max(2, len(self.identities)):
            raise SpecError(
                f"{self.identities}", where="HeldOutPairs.identities", expected="at least two different names"
            )

    def label(self) -> str:
        return self.name

    def missing(self, places: Places) -> str | None:
        return self.source.missing(places) if self.source is not None else None

    def people(self, places: Places) -> frozenset[str]:
        if self.source is None:
            return super().people(places)
        return frozenset(self._chosen(self.source.open(places)))

    def held_out(self, images: Images) -> frozenset[str]:
        """Return the identities that training on `images` must leave out: none with an own source."""
        return frozenset(self._chosen(images)) if self.source is None else frozenset()

    def open(self, places: Places, data: Source) -> PairImages:
        images = (self.source or data.truth()).open(places)
        chosen = self._chosen(images)
        notes = self._overlap(chosen, data, places)
        numbers = [number for number, name in enumerate(images.identities) if name in chosen]
        records = np.flatnonzero(np.isin(images.labels, numbers))
        labels = images.labels[records]
        where = f"HeldOutPairs({self.name!r})"
        drawn = pair_sampling.balanced(labels, self.pairs, self.seed, where, by_label=self.draw == "people")
        return PairImages(
            encoded=(),
            **drawn._asdict(),
            names=[images.names[number] for number in records],
            held_out=self.held_out(images),
            fingerprint=pair_files.fingerprint(
                [images.fingerprint.encode(), records.tobytes()], np.concatenate(drawn[:2]), drawn.same
            ),
            pixels=lambda size: decode.records(images, records, size),
            identities=[images.identities[label] for label in labels],
            notes=notes,
        )

    def _chosen(self, images: Images) -> set[str]:
        """Return the names of the people whose pairs are drawn."""
        known = images.identities
        if isinstance(self.identities, tuple):
            for name in self.identities:
                if name not in known:
                    raise DataError(
                        f"no identity {name!r}", where="HeldOutPairs.identities", do=suggestion(name, known)
                    )
            return set(self.identities)
        if self.identities is None:
            return set(known)
        most = len(known) if self.source is not None else len(known) - 2
        if self.identities > most:
            raise DataError(
                f"{self.identities} of {len(known)} identities",
                where="HeldOutPairs.identities",
                expected=f"at most {most}"
                + ("" if self.source is not None else ", two must be left to train on"),
            )
        # Not the stream of the pairs: who is held out must not move with how pairs are drawn.
        order = np.random.default_rng([self.seed, 0x1D]).permutation(len(known))
        return {known[number] for number in order[: self.identities]}

    def _overlap(self, chosen: set[str], data: Source, places: Places) -> tuple[str, ...]:
        """Refuse, or note, people who are in the training source too."""
        common = [] if self.source is None else _common(chosen, data, places)
        if not common:
            return ()
        if self.overlap == "refuse":
            raise DataError(
                in_both(common),
                where=f"HeldOutPairs({self.name!r})",
                expected="people that training never sees",
                do="leave them out of one of both, or set overlap='warn' where only the names are alike",
            )
        return (_flatters(self.name, common),)

    def quick(self) -> HeldOutPairs:
        identities = None if self.source is not None else 3
        return self.but(
            source=None if self.source is None else self.source.quick(),
            identities=identities,
            pairs=min(self.pairs or 20, 20),
        )

    def stand_in(self) -> PairSet:
        return _stand_in(self.label())


def _common(people: Iterable[str], data: Source, places: Places) -> list[str]:
    """Return who of the people of a set is in the training source too; nobody where that is not there."""
    return [] if data.missing(places) else sorted(set(people) & set(data.open(places).identities))


def _flatters(name: str, common: Sequence[str]) -> str:
    return f"{name}: {in_both(common)}; its accuracy may flatter"


def in_both(common: Sequence[str]) -> str:
    """Say that people are in training and in evaluation."""
    return f"{len(common)} identities are in training and in evaluation: {few(common, 5)}"


def _stand_in(name: str) -> HeldOutPairs:
    """Return a small set of drawn people, none of whom is in the stand-in of a training source.

    Sets of other names have other pairs of them, so that nobody takes one set for another.
    """
    people = builtin.small_faces(0.0).but(first=10_000, identities=6, images=8)
    seed = zlib.crc32(name.encode()) % 1000
    return HeldOutPairs(source=people, pairs=120, seed=seed, name=name, overlap="warn")
