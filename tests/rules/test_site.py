"""The site of `make site` is built without a link that leads nowhere, and needs no network to be read."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from source import ROOT


@pytest.fixture(scope="module")
def built():
    pytest.importorskip("mkdocs", reason="mkdocs-material comes with the extra `test`")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "tools" / "make_site.py")],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr  # strict: a broken link ends the build
    return ROOT / "build" / "site"


def test_every_chapter_is_a_page_and_can_be_found(built):
    for page in (ROOT / "docs").glob("*.md"):
        name = "chapters" if page.name == "README.md" else page.stem
        assert (built / f"{name}.html").is_file(), name
    assert (built / "search" / "search_index.js").is_file()  # as a script: a page from a folder may not fetch


def test_pages_load_nothing_from_elsewhere(built):
    loaded = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(https?://[^\"' >]+)")
    found = {address for page in built.rglob("*.html") for address in loaded.findall(page.read_text("utf-8"))}
    assert {address for address in found if "mkdocs" not in address} == set()
