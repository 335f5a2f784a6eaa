"""A training as a notebook shows it: one output that is drawn anew, with a bar, and the lines of its epochs.

A run in a process of its own tells how far it is in a small file, which the notebook reads.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from workbench.files import write_json
from workbench.spec.plan import Plan
from workbench.train.progress import LiveScreen, Screen, duration, values_line

VARIABLE = "WORKBENCH_PROGRESS"  # names the file into which a run in a process of its own tells its steps
SHOWN = 14  # lines kept in view; a record has them all
BAR = (
    '<div style="background:#8883;border-radius:3px;height:8px;max-width:42em">'
    '<div style="background:#4c72b0;border-radius:3px;height:8px;width:{share:.1f}%"></div></div>'
)


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    # Not imported: a kernel has it already, and importing it elsewhere costs half a second.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class NotebookScreen(Screen):
    """Draws one HTML output again and again: the last lines, and a bar with what is at work."""

    live = True

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.lines: list[str] = []
        self.share, self.state = 0.0, ""
        self._began = time.monotonic()
        self._handle: Any = None
        self._plans: tuple[int, int] = (0, 0)

    def say(self, text: str) -> None:
        self.lines.append(text)
        self.draw()

    def wants_step(self) -> bool:
        now = time.monotonic()
        if now < self._next_redraw:
            return False
        self._next_redraw = now + 0.5
        return True

    def step(self, plan: Plan, epoch: int, step: int, steps: int, values: Mapping[str, float]) -> None:
        self.at(plan.number, epoch, plan.last_epoch, step, steps, values)

    def at(
        self, stage: int, epoch: int, last: int, step: int, steps: int, values: Mapping[str, float]
    ) -> None:
        """Show that a step of an epoch is done; `last` is the last epoch of its stage."""
        self.share = 100 * step / max(steps, 1)
        self.state = f"stage {stage}, epoch {epoch} of {last}, step {step}/{steps}  {values_line(values)}"
        self.draw()

    def epoch(
        self, epoch: int, epochs: int, plan: Plan, metrics: Mapping[str, float], seconds: float
    ) -> None:
        self.share, self.state = 100 * epoch / max(epochs, 1), f"epoch {epoch} of {epochs} is recorded"
        super().epoch(epoch, epochs, plan, metrics, seconds)

    def draw(self) -> None:
        """Draw the output anew."""
        ipython = importlib.import_module("IPython.display")  # there, for this is the kernel of a notebook
        shown = ipython.HTML(self.html())
        if self._handle is None:
            self._handle = ipython.display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def html(self) -> str:
        """Return the output as HTML."""
        hidden = len(self.lines) - SHOWN
        more = [f"... {hidden} lines before"] if hidden > 0 else []
        text = html.escape("\n".join([*more, *self.lines[-SHOWN:]]))
        spent = duration(time.monotonic() - self._began)
        state = (
            f"{BAR.format(share=self.share)}<small>{html.escape(self.state)}, {spent}</small>"
            if self.state
            else ""
        )
        return f'<pre style="margin:0">{text}</pre>{state}'

    def close(self) -> None:
        if self.state:
            self.state = ""
            self.draw()


class ProgressFile(Screen):
    """Plain lines, and beside them a file that says at which step a run is."""

    def __init__(self, path: Path, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.path = path

    wants_step = LiveScreen.wants_step

    def step(self, plan: Plan, epoch: int, step: int, steps: int, values: Mapping[str, float]) -> None:
        facts = {"stage": plan.number, "epoch": epoch, "last": plan.last_epoch, "step": step, "steps": steps}
        # Renamed into place: the notebook reads at any moment and must never meet half a line.
        with contextlib.suppress(OSError):  # a full disk: the picture of a run must not end it
            write_json(self.path, {**facts, "values": {name: float(v) for name, v in values.items()}})

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


def read_progress(path: Path) -> dict[str, Any] | None:
    """Return what a run wrote of its step last; None where it has not."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found
