"""Run the program and write down the loss of each step: `python stepwise.py FILE run SPEC ...`.

The figures are what the training step itself remembers of its last steps, so nothing is measured twice.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def noting(path: Path) -> None:
    """Let every session append the losses of its steps to `path`."""
    from workbench.train.session import Session

    before, found = Session.after_step, []

    def after_step(self: Any, logs: Any) -> None:
        recent = {name: self.trainer.recent[name].numpy() for name in ("step", "loss")}
        found.append(float(recent["loss"][recent["step"].argmax()]))
        path.write_text(json.dumps(found))
        before(self, logs)

    Session.after_step = after_step  # type: ignore[method-assign]


if __name__ == "__main__":
    from workbench.cli import main

    noting(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
