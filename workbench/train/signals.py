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
from workbench.security.children import end_on_purpose

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
    handled = {n: handler for n, handler in handlers.items() if signal.getsignal(n) is not signal.SIG_IGN}
    old = {number: signal.signal(number, handler) for number, handler in handled.items()}
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


CTRL_C = "Ctrl-C"  # as people call SIGINT
ASKED = (  # what each Ctrl-C does, said when it is pressed
    "stops after this epoch; again: checkpoint now; third: quit",
    "stops after this step, with a checkpoint; again: quit",
    "quits; what the last checkpoint holds is kept",
)
QUIT = 130  # the exit status of a program that Ctrl-C ended


@contextlib.contextmanager
def announced(say: Callable[[str], None], quit_at_once: Callable[[], None] | None = None) -> Iterator[None]:
    """Say at each Ctrl-C what it does, at once: Python's own handlers wait for the step or the build at work.

    The kernel's signal writes a byte that a thread waits for. The third one ends the process there and then
    (after `quit_at_once`, which leaves the terminal in order), unless that is None.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_announce, args=(reader, say, quit_at_once), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        thread.join(timeout=1.0)
        os.close(reader)


def _announce(reader: int, say: Callable[[str], None], quit_at_once: Callable[[], None] | None) -> None:
    pressed = 0
    while came := os.read(reader, 64):
        for _ in range(came.count(signal.SIGINT)):
            pressed += 1
            say(ASKED[min(pressed, len(ASKED)) - 1])
            if pressed >= len(ASKED) and quit_at_once is not None:
                quit_at_once()
                end_on_purpose()
                os._exit(QUIT)


class StopSignals:
    """What signals ask for: `stop` (SIGTERM, SIGHUP, the second Ctrl-C: checkpoint now), `finish` (the first
    Ctrl-C: finish the epoch). The third Ctrl-C ends the process: the record is as after a kill."""

    def __init__(
        self,
        grace_seconds: float,
        say: Callable[[str], None] | None = None,
        quit_at_once: Callable[[], None] | None = None,
    ) -> None:
        self.stop = False
        self.finish = False
        # Who asks; of several processes one may stop for another's signal.
        self.asked_by = signal.SIGTERM.name
        self.by_user = False  # whether Ctrl-C asked first
        self._say, self._quit = say, quit_at_once
        # A thread, for the training may sit in one long step: whoever sent SIGTERM sends SIGKILL after a while, and
        # an orderly exit without a new checkpoint is better than that.
        self._last_moment = threading.Timer(grace_seconds, _end_unsaved)
        self._last_moment.daemon = True

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        # A second SIGTERM must not start the clock again.
        if not self.stop:
            self.stop, self.by_user = True, False
            self.asked_by = signal.Signals(number).name
            self._last_moment.start()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self.stop:  # who asked first is who ends it
            self.by_user, self.asked_by = True, CTRL_C
        self.stop = self.stop or self.finish  # the second one
        self.finish = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopSignals]:
        """Listen to SIGTERM, SIGHUP and SIGINT until the block ends, then hand them back."""
        said = announced(self._say, self._quit) if self._say is not None else contextlib.nullcontext()
        with handling({**on_end(self._terminate), signal.SIGINT: self._interrupt}), said:
            try:
                yield self
            finally:
                self._last_moment.cancel()


def _end_unsaved() -> None:
    """End the process when the time for a checkpoint is over: the one before it is as good as ever."""
    # `os._exit`, for a hanging TensorFlow call keeps an ordinary exit from ending.
    end_on_purpose()
    os._exit(RunStopped.exit_status)
