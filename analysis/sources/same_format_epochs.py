"""Epochs that Keras prints alike with `verbose=2`, taken many at once: `Epoch 3/50`, then one line of the same names.

Once an epoch has been understood line by line, its line says how the next ones look. What differs from it in
anything but the numbers, and the last epoch before something else, goes line by line again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

VALUE = r"-?\d+\.\d{4}(?:e[-+]\d\d)?"  # Keras' own form of a number
SPEED = r"\d+[mu]?s/(?:step|epoch|sample)"
PAIR = re.compile(rf" - ([A-Za-z_][\w./@()-]*): ({VALUE})")
USUAL = re.compile(rf"(?: -)? (\d+)s(?: {SPEED})?((?: - [A-Za-z_][\w./@()-]*: {VALUE})+)(?: - {SPEED})*")


@dataclass
class EpochFormat:
    """How an epoch looked last, for those that look the same."""

    names: tuple[str, ...] = ()
    form: re.Pattern[bytes] | None = None
    announced: int = field(default=-2)  # the line of the last `Epoch 3/50`

    def learn(self, start: str, names: Sequence[str], line: int) -> None:
        """Take the form of a line of values that begins with `start` and directly follows the line that announces it."""
        if line != self.announced + 1 or self.names == tuple(names):
            return
        self.names = tuple(names)
        values = "".join(f" - {re.escape(name)}: ({VALUE})" for name in names)
        form = rf"Epoch (\d{{1,8}})/(\d{{1,8}})\n{re.escape(start)}(?: -)? ([1-9]\d*)s(?: {SPEED})?{values}(?: - {SPEED})*\n(?=Epoch )"
        self.form = re.compile(form.encode())

    def found(self, content: bytes, position: int) -> list[re.Match[bytes]]:
        """Return the matches of the epochs that follow each other from a position on."""
        matches: list[re.Match[bytes]] = []
        if self.form is None or not content.startswith(b"Epoch ", position):
            return matches
        while match := self.form.match(content, position):
            matches.append(match)
            position = match.end()
        return matches


Epochs = list[tuple[int, dict[str, float]]]  # each epoch with its values


def epochs_of(
    matches: Sequence[re.Match[bytes]], names: Sequence[str], after: int, planned: int
) -> Epochs | None:
    """Return the epochs of matches and their values, `seconds` among them; None unless they count on from `after`."""
    rows: Epochs = []
    keys, of = ("seconds", *names), str(planned).encode()
    for match in matches:
        groups = match.groups()
        after += 1
        if int(groups[0]) != after or groups[1] != of or after > planned:
            return None
        rows.append((after, dict(zip(keys, map(float, groups[2:])))))
    return rows
