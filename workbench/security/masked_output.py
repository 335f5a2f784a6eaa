"""What a run's own process prints into its record, secrets taken out line by line.

Runs side by side print into a file in the run's folder, where whatever a spec, a library or a traceback
says would stay in plain words. What is written past Python (by TensorFlow's native code) is not seen here.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import Any, TextIO

VARIABLE = "WORKBENCH_MASK_OUTPUT"  # set for a process whose output is kept with its run


class Masked:
    """A text stream that hands on whole lines, masked; the rest of one waits for its end."""

    def __init__(self, stream: TextIO) -> None:
        # Its patterns take 10 ms to make, which a program that masks nothing need not wait for.
        from workbench.security.masking import mask

        self._mask, self._stream, self._rest = mask, stream, ""

    def write(self, text: str) -> int:
        """Take `text`; write the lines that it completes."""
        whole, end, self._rest = (self._rest + text).rpartition("\n")
        if end:
            self._stream.write(self._mask(whole + end))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Take several texts."""
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Write what has no end of line."""
        with contextlib.suppress(OSError):  # a full disk at the very end: nobody is left to tell
            self._stream.write(self._mask(self._rest))
            self._rest = ""
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # flush, fileno, isatty, encoding ...


def mask_output() -> None:
    """Mask what this process prints from now on, where it was started to print into a run's record."""
    if not os.environ.pop(VARIABLE, ""):  # a process that this one starts prints elsewhere
        return
    for name in ("stdout", "stderr"):
        stream = Masked(getattr(sys, name))
        setattr(sys, name, stream)
        atexit.register(stream.finish)  # a last line without an end, such as a progress bar's
