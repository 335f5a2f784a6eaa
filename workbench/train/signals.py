"""What signals ask of a training, and the one way in which handlers are set and given back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from workbench.errors import RunStopped

Handler = Callable[[int, "FrameType | None"], Any]


@contextlib.contextmanager
def handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Handle the given signals until the block ends, then give the old handlers back.

    Python lets only the main thread set handlers; elsewhere (a notebook's worker, a test) the block runs without.
    What was ignored before stays so: `nohup` means that a lost terminal ends nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = {n: handler for n, handler in handlers.items() if signal.getsignal(n) is not signal.SIG_IGN}
    old = {number: signal.signal(number, handler) for number, handler in heard.items()}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def on_end(handler: Handler) -> dict[signal.Signals, Handler]:
    """Return `handler` for the signals by which others ask a process to end: SIGTERM, and a lost terminal's SIGHUP."""
    return {signal.SIGTERM: handler, signal.SIGHUP: handler}


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Make SIGTERM and SIGHUP of a command what Ctrl-C is, so that what it began is cleared away."""
    with handling(on_end(raise_interrupt)):
        yield


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Treat a signal as Ctrl-C, so that one way out cleans up."""
    raise KeyboardInterrupt


class StopSignals:
    """What signals ask for: `stop` (SIGTERM or SIGHUP: checkpoint now), `finish` (Ctrl-C: finish the epoch)."""

    def __init__(self, grace_seconds: float) -> None:
        self.stop = False
        self.finish = False
        # Who asks; of several processes one may stop for another's signal.
        self.asked_by = signal.SIGTERM.name
        # A thread, for the training may sit in one long step: whoever sent SIGTERM sends SIGKILL after a while, and
        # an orderly exit without a new checkpoint is better than that.
        self._last_moment = threading.Timer(grace_seconds, _end_unsaved)
        self._last_moment.daemon = True

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        # A second SIGTERM must not start the clock again.
        if not self.stop:
            self.stop, self.asked_by = True, signal.Signals(number).name
            self._last_moment.start()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.finish:
            # The second Ctrl-C ends at once, by the default handler, so that a
            # shell sees a process killed by a signal.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self.finish = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopSignals]:
        """Listen to SIGTERM, SIGHUP and SIGINT until the block ends, then hand them back."""
        with handling({**on_end(self._terminate), signal.SIGINT: self._interrupt}):
            try:
                yield self
            finally:
                self._last_moment.cancel()


def _end_unsaved() -> None:
    """End the process when the time for a checkpoint is over: the one before it is as good as ever."""
    # `os._exit`, for a hanging TensorFlow call keeps an ordinary exit from ending.
    os._exit(RunStopped.exit_status)
