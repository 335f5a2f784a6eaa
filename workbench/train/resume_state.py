"""Which state a resumed run goes on from: said, with what was passed over, and never silently none.

A run whose states are all lost could only be trained again from its first epoch. That is a day of work which
nobody asked for, and it would overwrite what a person may still save: it is refused unless they say so.
"""

from __future__ import annotations

from workbench.errors import RecordError
from workbench.tracking.journal import Journal, read_journal
from workbench.train import checkpoint, checkpoint_file
from workbench.train.checkpoint_file import Chosen
from workbench.train.progress import Screen
from workbench.train.request import RunRequest


def resume_state(request: RunRequest, screen: Screen) -> checkpoint.State | None:
    """Return the state to go on from, None for a run that begins at its first epoch; says which and why.

    Raises `RecordError` where the record tells of states and none of them is sound, unless `from_start`.
    """
    folder, path = request.store.run_checkpoints(request.run), request.store.journal(request.run)
    journal = read_journal(path) if path.exists() else Journal(path)
    # Before looking for a state: with it, damaged ones are nobody's concern.
    if request.from_start:
        _put_aside(request, journal)
        screen.warn("trained again from its first epoch, as asked; its states are kept beside")
        return None
    chosen = checkpoint_file.choose(folder, request.run)
    for text in chosen.passed:
        screen.warn(f"{text}; passed over")
    recorded = journal.checkpoint()
    # No state although the record has named one is a loss to be reported; none because none was ever due is not.
    if chosen.state is None:
        if recorded is not None:
            raise _none_left(request, chosen, len(journal.accepted()))
        if journal.start is not None:
            screen.say("no state of it was kept before it ended: it begins where it began")
        return None
    facts = chosen.state.facts
    # The journal knows of states that are not in the folder any more: a silent step back
    # would repeat epochs without anybody knowing why.
    if (
        recorded is not None
        and recorded.step > int(facts["step"])
        and not any(text.startswith(f"{recorded.file}:") for text in chosen.passed)
    ):
        screen.warn(f"{recorded.file}, the state after epoch {recorded.epoch}, is missing; passed over")
    inside = f" and {facts['epoch_step']} steps" if facts["epoch_step"] else ""
    screen.say(f"going on after epoch {facts['epoch']}{inside}, from {chosen.file}")
    return chosen.state


def _none_left(request: RunRequest, chosen: Chosen, epochs: int) -> RecordError:
    what = "its checkpoints are damaged" if chosen.passed else "its checkpoints are missing"
    return RecordError(
        f"{what}: {'; '.join(chosen.passed)}" if chosen.passed else what,
        where=request.run,
        expected=f"a sound state in {request.store.run_checkpoints(request.run)}",
        do=f"bring one back, or train its {epochs} epochs again: `workbench resume {request.run} --from-start`",
    )


def _put_aside(request: RunRequest, journal: Journal) -> None:
    """Rename the states of earlier attempts, which a later resume would take for newer than the new ones."""
    folder = request.store.run_checkpoints(request.run)
    for path in (*checkpoint_file.generations(folder), folder / checkpoint_file.BEST):
        if path.exists():
            path.rename(path.with_name(f"before-attempt-{journal.attempt + 1}-{path.name}"))
