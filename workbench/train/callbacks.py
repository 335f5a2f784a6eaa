"""Thin Keras callbacks: they hand steps and epochs to the runner and decide nothing themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from workbench.errors import RunStopped
from workbench.lazy import tf

if TYPE_CHECKING:
    from types import FrameType


class Hooks(Protocol):
    """What the runner does at the borders of steps and epochs."""

    def after_step(self, logs: Mapping[str, Any]) -> None:
        """A step is done; `logs` are tensors, reading one waits for the device."""

    def after_epoch(self, logs: Mapping[str, Any], seconds: float) -> None:
        """An epoch is done; `seconds` is its training part."""


class HooksCallback(tf.keras.callbacks.Callback):
    """Calls the runner's hooks. Logs stay tensors, so that training never waits for numbers."""

    _supports_tf_logs = True

    def __init__(self, hooks: Hooks) -> None:
        super().__init__()
        self.hooks = hooks
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.hooks.after_step(logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.hooks.after_epoch(logs or {}, time.monotonic() - self._began)


class StopSignals:
    """What signals ask for: `stop` (SIGTERM: checkpoint now), `finish` (Ctrl-C: finish the epoch)."""

    def __init__(self, grace_seconds: float) -> None:
        self.stop = False
        self.finish = False
        self._last_moment = threading.Timer(grace_seconds, _end_unsaved)
        self._last_moment.daemon = True

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if not self.stop:
            self.stop = True
            self._last_moment.start()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.finish:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self.finish = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopSignals]:
        """Listen to SIGTERM and SIGINT until the block ends, then hand them back."""
        old = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._terminate),
            signal.SIGINT: signal.signal(signal.SIGINT, self._interrupt),
        }
        try:
            yield self
        finally:
            self._last_moment.cancel()
            for number, handler in old.items():
                signal.signal(number, handler)


def _end_unsaved() -> None:
    """End the process when the time for a checkpoint is over: the one before it is as good as ever."""
    os._exit(RunStopped.exit_status)
