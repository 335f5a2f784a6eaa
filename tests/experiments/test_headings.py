"""docs/headings.md has every heading of the notebook's pages, and names only what there is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from workbench.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "headings.md").read_text(encoding="utf-8")
OURS = (
    "baseline_",
    "digits_",
    "distillation_ms1m",
    "lfw_",
    "orl_faces",
    "quickstart",
)  # of no heading of their own


def rows(page: str) -> list[tuple[int, str]]:
    """Return (line, what serves it) of one page's table."""
    section = PAGE.partition(f"## {page}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (\d+) \| [^|]+ \| (.+) \|$", section, re.MULTILINE)
    return [(int(line), text) for line, text in found]


def headings(text: str) -> list[int]:
    """Return the lines of a page's headings; a `#` within a block of code is none."""
    lines, inside = [], False
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r" *```", line):
            inside = not inside
        elif not inside and re.match(r"#+ ", line):
            lines.append(number)
    return lines


@pytest.mark.parametrize("page", ["keras_insightface.txt", "advance.txt", "tests.txt"])
def test_every_heading_has_its_row(page: str, real_data: Path):
    folder = Path(os.environ.get("WORKBENCH_TEST_NOTEBOOK") or real_data.parent / "notebook")
    if not folder.is_dir():
        pytest.skip(f"no notebook in {folder}")
    assert [line for line, _ in rows(page)] == headings((folder / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", ["keras_insightface.txt", "advance.txt", "tests.txt"])
def test_a_row_says_what_serves_the_heading_or_why_nothing_does(page: str):
    assert len(rows(page)) > 10
    for line, text in rows(page):
        served = re.search(r"\[\w+\]\(|`|^the |^its |published numbers", text)
        assert served or text.startswith("left out: "), f"{page}, line {line}"
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / "docs" / target).exists(), target
        for command in re.findall(r"`workbench (\w+)", text):
            assert command in COMMANDS, command


def test_every_study_of_the_notebook_is_linked():
    specs = {path.stem for path in (ROOT / "experiments").glob("*.py") if not path.stem.startswith(OURS)}
    assert specs <= set(re.findall(r"\.\./experiments/(\w+)\.py", PAGE))
