"""Time limits of tests are against hanging: a busy machine must not reach them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from source import ROOT

LEAST_SECONDS = 600
OF_PROCESSES = ("communicate", "wait", "join", "run", "check_output")  # and of threads


def limits(tree: ast.AST) -> Iterator[tuple[int, float]]:
    """Return line and seconds of every limit that a call gives to a process or thread as a plain number."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in OF_PROCESSES:
            given = [word.value for word in node.keywords if word.arg == "timeout"]
            given += node.args[:1] if node.func.attr in OF_PROCESSES[:3] else []
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, (int, float)):
                    yield node.lineno, float(value.value)


def too_short(path: Path) -> list[str]:
    found = limits(ast.parse(path.read_text(encoding="utf-8")))
    return [f"{path.name}:{line}: {seconds:g} s" for line, seconds in found if seconds < LEAST_SECONDS]


def test_no_limit_is_one_that_a_busy_machine_reaches() -> None:
    assert [fault for path in (ROOT / "tests").rglob("*.py") for fault in too_short(path)] == []


def test_the_search_finds_a_short_limit(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "process.communicate(timeout=60)\nthread.join(20)\nsubprocess.run(words, timeout=5)\n"
        "process.wait(1200)\ntracker.close(timeout=0.3)\n', '.join(words)\n"
    )
    assert too_short(tmp_path / "one.py") == ["one.py:1: 60 s", "one.py:2: 20 s", "one.py:3: 5 s"]
