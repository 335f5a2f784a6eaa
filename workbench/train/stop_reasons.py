"""The reasons for which a training ends before its last step, in the words that the record keeps."""

from __future__ import annotations

from workbench import names
from workbench.train.request import PAUSED, RunRequest, StopTraining
from workbench.train.signals import StopSignals


def stopped(request: RunRequest, signals: StopSignals) -> StopTraining:
    """Return the stop that a signal asks for, resumable; that of a person at the keyboard has its own exit status."""
    words = f"stopped by {signals.asked_by}; `workbench resume {request.run}` goes on"
    return StopTraining(names.STOPPED, words, by_user=signals.by_user)


def paused(epoch: int) -> StopTraining:
    """Return the stop after the last epoch that a request asks for (a tuner's rung)."""
    return StopTraining(names.STOPPED, f"{PAUSED} {epoch}, as asked")


def end_again(reason: str) -> None:
    """Stop a resumed run that a rule had ended already, for the `reason` that its last row tells, if any.

    A kill between that row and the run's end, as while its model is made, must not make a longer run of it.
    """
    if reason:
        raise StopTraining(names.FINISHED, reason)


def stop_after_epoch(
    request: RunRequest, signals: StopSignals, epoch: int, epochs: int, reason: str | None
) -> StopTraining | None:
    """Return why training ends after `epoch` of `epochs`, None where it goes on; `reason` is a watcher's."""
    last = epoch >= epochs
    # A signal after the last epoch changes nothing: the run is complete, and "stopped" would ask for a resume.
    if (signals.stop or signals.finish) and not last:
        return stopped(request, signals)
    # After the signals: who ends a run by hand wants to go on with it, who ends it by a rule does not.
    if reason is not None:
        return StopTraining(names.FINISHED, reason)
    if request.epochs is not None and epoch >= request.epochs and not last:
        return paused(epoch)
    return None
