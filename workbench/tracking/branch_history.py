"""The history of a branch: its trunk's epochs up to the point where it left it, then its own.

A branch's journal holds its own epochs only and names its trunk; whoever wants the whole history (a
screen, `history.json`, the best value so far) asks here.
"""

from __future__ import annotations

from workbench.errors import RecordError
from workbench.tracking.journal import SUFFIX, Journal, read_journal
from workbench.tracking.rows import EpochRecord


def shared_rows(journal: Journal) -> list[EpochRecord]:
    """Return the epochs that a branch shares with its trunk, ascending, as far as they can be read."""
    found = journal.trunk
    if not found:
        return []
    try:
        trunk = read_journal(journal.path.with_name(f"{found['run']}{SUFFIX}"))
    except RecordError:  # the trunk lies in another store: the branch's own epochs are all there is
        return []
    # A trunk may have gone on beyond the point; the branch never saw those epochs.
    own = [row for row in trunk.accepted() if row.epoch <= int(found["epoch"])]
    first = own[0].epoch if own else int(found["epoch"]) + 1
    # A trunk may be a branch itself, so this walks up until a run has no trunk.
    return [*(row for row in shared_rows(trunk) if row.epoch < first), *own]


def all_rows(journal: Journal) -> list[EpochRecord]:
    """Return the accepted epochs of a run from epoch 1 on, those of its trunk included."""
    return [*shared_rows(journal), *journal.accepted()]
