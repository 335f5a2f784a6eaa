"""Names of runs, metrics and settings as every record, view and screen takes them, whatever file they are from."""

from __future__ import annotations

from typing import Any

from workbench.security.foreign_names import LONGEST_LABEL, label, whole_letters

LONGEST_TEXT = 100_000  # letters of a name or of a setting's value; a spec as text has some thousands


def named_plainly(data: Any) -> str:
    """Change a run (`RunData`) on its way into the frames; return in words what had no name and is left out, or ""."""
    bad = sum(not label(metric) for metric, *_ in data.values) + sum(not label(n) for n in data.settings)
    data.values = [
        (label(metric), kind, whole_letters(file), block)
        for metric, kind, file, block in data.values
        if label(metric)
    ]
    data.settings = {label(name): _plain(value) for name, value in data.settings.items() if label(name)}
    data.facts = {name: _plain(value) for name, value in data.facts.items()}
    data.stages = [(_plain(name), length) for name, length in data.stages]
    data.run, data.file = _plain(data.run), whole_letters(data.file)
    return (
        f"{bad} values whose names are empty or longer than {LONGEST_LABEL} letters, left out" if bad else ""
    )


def _plain(value: Any) -> Any:
    return whole_letters(value)[:LONGEST_TEXT] if isinstance(value, str) else value
