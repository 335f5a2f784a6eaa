"""TensorFlow's complaint about an operation without a repeatable form, as one line with what to do.

Runs ask for repeatable operations by default. A few operations have none on a GPU or under XLA; TensorFlow then raises
from deep within a step, in words that name neither the setting nor a way out.
"""

from __future__ import annotations

import re

from workbench.errors import InputError

SAID = re.compile(r"determinis", re.IGNORECASE)


def refused(error: BaseException) -> InputError | None:
    """Return the error to raise in the place of `error`; None where it is about something else."""
    words = str(error)
    if isinstance(error, InputError) or not SAID.search(words):
        return None
    # The one line that says what; around it TensorFlow prints the graph and where in its code it was.
    line = next(line for line in words.splitlines() if SAID.search(line)).strip().rstrip(".")
    return InputError(
        f"an operation has no repeatable form: {line[:200]}",
        where="devices.deterministic",
        do='give deterministic=False, as in --set "devices=OneDevice(deterministic=False)": equal seeds then '
        "no longer give equal bits",
    )
