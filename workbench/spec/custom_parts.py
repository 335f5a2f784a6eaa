"""What an experiment's own parts are, in words: as `check` and notebooks show them beside built-in ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from workbench.spec.custom_source import code_of, is_custom
from workbench.spec.definition import place
from workbench.spec.experiment import Experiment
from workbench.spec.labels import value_text
from workbench.spec.part import walk


def custom_part_lines(experiment: Experiment) -> Iterator[str]:
    """Yield a block for each class of one's own: its first line, place, source digest and settings."""
    classes = dict.fromkeys(type(part) for _, part in walk(experiment) if is_custom(type(part)))
    for cls in classes:
        first = (cls.__doc__ or "").strip().split("\n")[0]
        said = first if first and not first.startswith(f"{cls.__name__}(") else "no docstring"
        lines = [f"own part {cls.__name__}: {said}", f"  {place(cls)}, code {code_of(cls)}"]
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            default = "needed" if field.default is dataclasses.MISSING else value_text(field.default)
            lines.append(f"  {field.name} ({default}): {field.metadata.get('doc') or 'no doc='}")
        yield "\n".join(lines)
