"""The people of an evaluation set by name, so that a training source can leave them out, or use them only."""

from __future__ import annotations

from workbench.spec.interfaces import PairSet, Places
from workbench.spec.part import Part, part, setting


@part
class PeopleOf(Part):
    """The people on the images of an evaluation set: `leave_out=PeopleOf(Pairs("lfw/pairs.txt", sets=(1,)))`."""

    pairs: PairSet = setting(positional=True, doc="the evaluation set whose people are meant")

    def names(self, places: Places) -> frozenset[str]:
        """Return the people's names; raises `InputError` for a set that is missing or names nobody."""
        return self.pairs.people(places)

    def missing(self, places: Places) -> str | None:
        """Say in words that the set is not on this machine; None where it is."""
        return self.pairs.missing(places)
