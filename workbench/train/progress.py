"""What a person sees of a training: a progress bar on a terminal, one plain line an epoch elsewhere.

The runner speaks to this interface only, so a training never depends on how it is shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from workbench import names
from workbench.security.visible_text import console, markup, visible
from workbench.spec.plan import Plan

if TYPE_CHECKING:
    from rich.progress import Progress

# Reading the step's values waits for the device; four times a second is invisible in the speed.
REDRAW_SECONDS = 0.25


class Screen:
    """Plain lines: a start, each stage, each epoch, each warning, the end."""

    live = False

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout  # None where the process was started without one
        self._next_redraw = 0.0

    def say(self, text: str) -> None:
        """Show one line."""
        print(text, file=self.stream, flush=True)

    def warn(self, text: str) -> None:
        """Show one line that asks for attention."""
        self.say(f"note: {text}")

    def stage(self, plan: Plan, stages: int, steps: int) -> None:
        """A stage begins."""
        epochs = f"epoch {plan.first_epoch}" + (f"-{plan.last_epoch}" if plan.epochs > 1 else "")
        self.say(f"stage {plan.number}/{stages}  {plan.name}  {epochs}, {steps} steps each")

    def wants_step(self) -> bool:
        """Tell whether it is time to show a step; called at every step, so it must cost nothing."""
        return False

    def step(self, plan: Plan, epoch: int, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Show progress within an epoch."""

    def epoch(
        self, epoch: int, epochs: int, plan: Plan, metrics: Mapping[str, float], seconds: float
    ) -> None:
        """An epoch is recorded."""
        self.say(f"epoch {epoch:>{len(str(epochs))}}/{epochs}  {values_line(metrics)}  {duration(seconds)}")

    def close(self) -> None:
        """Leave the screen as a shell expects it."""


class LiveScreen(Screen):
    """A progress bar below the lines: stage, epoch, step, loss, accuracy, speed and time left."""

    live = True

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._progress: Progress | None = None
        self._task: Any = None
        self._seen = (0.0, 0)

    def say(self, text: str) -> None:
        if self._progress is not None:
            self._progress.console.print(visible(text), highlight=False, markup=False)
        else:
            super().say(text)

    def stage(self, plan: Plan, stages: int, steps: int) -> None:
        super().stage(plan, stages, steps)
        self.close()
        self._progress = self._bar()
        self._progress.start()
        label = f"stage {plan.number}/{stages}"  # numbers only: rich reads markup in it
        self._task = self._progress.add_task(label, total=plan.epochs * steps, state="", speed="")
        self._seen = (time.monotonic(), -1)

    def _bar(self) -> Progress:
        from rich import progress

        return progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TextColumn("{task.fields[state]}"),
            progress.TextColumn("{task.fields[speed]}"),
            progress.TimeRemainingColumn(),
            console=self._console(),
            # No thread of its own: it would draw between our lines, and wake the process while a step runs.
            auto_refresh=False,
            transient=True,
        )

    def _console(self) -> Any:
        return console(self.stream)

    def wants_step(self) -> bool:
        now = time.monotonic()
        if now < self._next_redraw:
            return False
        self._next_redraw = now + REDRAW_SECONDS
        return True

    def step(self, plan: Plan, epoch: int, step: int, steps: int, values: Mapping[str, float]) -> None:
        if self._progress is None:
            return
        done = (epoch - plan.first_epoch) * steps + step
        moment, before = self._seen
        now = time.monotonic()
        speed = ""
        if before >= 0 and now > moment:
            speed = f"{(done - before) * plan.batch_size / (now - moment):.0f} images/s"
        self._seen = (now, done)
        shown = {name: values[name] for name in (names.LOSS, names.ACCURACY) if name in values}
        state = f"epoch {epoch} step {step}/{steps} {values_line(shown)}"
        self._progress.update(self._task, completed=done, state=markup(state), speed=speed, refresh=True)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


FIRST = (names.LOSS, names.ACCURACY, "val_loss", "val_accuracy", names.LEARNING_RATE)


def values_line(metrics: Mapping[str, float]) -> str:
    """Return `loss 2.3026  accuracy 0.1250  lr 0.1  lfw 0.9822`: by-products of a set are left out."""
    order: Sequence[str] = [name for name in FIRST if name in metrics]
    order = [*order, *(n for n in metrics if n not in order and not is_detail(n))]
    return "  ".join(f"{name} {_number(name, metrics[name])}" for name in order if name != names.STAGE)


def is_detail(name: str) -> bool:
    """Tell by-products: thresholds and folds of a set, the interval around a forecast."""
    around = name.startswith(names.FORECAST_PREFIX) and not name.endswith("_chance")
    return name.endswith(names.DERIVED_SUFFIXES) or around


def _number(name: str, value: float) -> str:
    return f"{value:.3g}" if name == names.LEARNING_RATE else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return seconds as people say them: `0.8 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
