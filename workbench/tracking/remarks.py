"""What is not right with a run's record: the one reader of damage, whose remarks every command shows alike."""

from __future__ import annotations

from workbench.errors import RecordError, few
from workbench.names import SWEEP, TAG_IMPORTED, TAG_KIND
from workbench.tracking.journal import SUFFIX, Journal, read_journal
from workbench.tracking.rows import StartRecord

SHOWN = 5  # lines and epochs named one by one


def remarks(journal: Journal, deep: bool = True) -> list[str]:
    """Return, in words, what of a run cannot be believed or is missing; empty for a sound record.

    `deep` looks at the trunk of a branch too, whose epochs are shown with it.
    """
    if journal.unreadable:
        return [f"unreadable: {journal.unreadable}"]
    found = damage_of(journal)
    if journal.start is None:
        return [*found, "its journal has no readable start"]
    return [*found, *_gaps(journal), *(_of_trunk(journal) if deep else [])]


def require_start(journal: Journal) -> StartRecord:
    """Return the first attempt's start row; raises `RecordError` with what is wrong where none is intact."""
    if journal.start is None:
        raise RecordError(
            remarks(journal)[0], where=journal.run, do=f"`workbench show {journal.run}` says more"
        )
    return journal.start


def damage_of(journal: Journal) -> list[str]:
    """Return a remark for all lines of one reason that are not trusted."""
    by_reason: dict[str, list[int]] = {}
    for spot in journal.damage:
        by_reason.setdefault(spot.reason, []).append(spot.line)
    return [
        f"line{'s' * (len(lines) > 1)} {few(lines, SHOWN)} of its journal not trusted: {reason}"
        for reason, lines in by_reason.items()
    ]


def _gaps(journal: Journal) -> list[str]:
    start = journal.start
    if start is None or TAG_IMPORTED in start.tags or start.tags.get(TAG_KIND) == SWEEP:
        return []  # a log may hold every tenth epoch, and a sweep's trials end in any order
    epochs, checkpoint = [row.epoch for row in journal.accepted()], journal.checkpoint()
    # A state is noted after the row of its epoch: where it stands alone the row was taken away.
    last = max(epochs[-1] if epochs else 0, checkpoint.epoch if checkpoint else 0)
    # A branch begins after its trunk's last epoch: those before it are not a gap.
    first = int(journal.trunk["epoch"]) + 1 if journal.trunk else 1
    # A set: journals of a hundred thousand rows are looked through for each listing.
    there = set(epochs)
    missing = [number for number in range(first, last + 1) if number not in there]
    return [f"epoch{'s' * (len(missing) > 1)} {few(missing, SHOWN)} not in its journal"] if missing else []


def _of_trunk(journal: Journal) -> list[str]:
    if not journal.trunk:
        return []
    run = str(journal.trunk["run"])
    try:
        trunk = read_journal(journal.path.with_name(f"{run}{SUFFIX}"))
    except RecordError:
        return [f"its trunk, run {run}, is not in this store: the epochs shared with it are not shown"]
    return [f"its trunk, run {run}: {text}" for text in remarks(trunk, deep=False)]
