"""Thin Keras callbacks: they hand steps and epochs to the runner and decide nothing themselves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from workbench.lazy import tf


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
