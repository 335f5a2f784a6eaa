"""Where a training shows itself: a notebook, a terminal, plain lines, or a file that a notebook reads."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

from workbench.train import notebook_screen
from workbench.train.progress import LiveScreen, Screen


def screen(stream: TextIO | None = None) -> Screen:
    """Return the screen that fits: a notebook's in its kernel, live on a terminal, else plain lines.

    A run that a notebook began in a process of its own also writes its steps into the file that was named.
    """
    stream = stream or sys.stdout
    path = os.environ.get(notebook_screen.VARIABLE)
    if path:
        return notebook_screen.ProgressFile(Path(path), stream)
    if stream is sys.stdout and notebook_screen.in_notebook():
        return notebook_screen.NotebookScreen(stream)
    return LiveScreen(stream) if stream is not None and stream.isatty() else Screen(stream)
