"""`workbench report`: what the page says of three runs and of three hundred, and what it refuses."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from makers import add_run, add_scored_runs, records, run

from analysis.report import collect
from analysis.report.html import html
from analysis.report.markdown import markdown
from analysis.report.page import Links, Page, Picture, Section, Table, Text
from workbench.cli import main

QUESTION = "Does smoothing <help> | at all?"
HEADINGS = ["In short", "What differs", "Curves", "Results", "Is it noise?", "Costs", "Runs"]


class Reader(HTMLParser):
    """Collects what a page loads and links, its headings, its tables' rows, and tags left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.counts: dict[str, int] = {}
        self.open: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.sources += [given["src"]] if "src" in given else []
        self.links += [given["href"]] if "href" in given else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture
def few(project: Path) -> Path:
    """Three runs on 2,000 common pairs, the third clearly better; two quick ones of another study."""
    add_scored_runs(project, (0.0, -0.1, -0.12, -0.11), question=QUESTION)
    add_run(project, 9, "strange", 0.5, study="other")
    return project


@pytest.fixture
def many(project: Path) -> Path:
    rng = np.random.default_rng(1)
    for number in range(1, 61):
        add_run(project, number, f"try{number:02d}", rng.normal(0.8, 0.02, 4).tolist())
    return project


def made(project: Path, *words: str) -> tuple[str, Reader]:
    assert main(["report", "study", "-o", "out", *words]) == 0
    text = (project / "out" / "report.html").read_text(encoding="utf-8")
    return (project / "out" / "report.md").read_text(encoding="utf-8"), Reader(text)


def test_the_report_of_few_runs(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, page = made(few)
    assert capsys.readouterr().out.split() == [
        str(few / "out" / name) for name in ("report.html", "report.md", "curves.svg", "rows.csv")
    ]
    assert page.headings == HEADINGS
    assert not page.open
    assert QUESTION in page.text
    assert r"Does smoothing \<help\> \| at all?" in text
    assert "strange" not in page.text
    for said in ("label_smoothing", "McNemar", "better", "indistinguishable", "the baseline", "12s in all"):
        assert said in page.text
    assert "No other row is as good." in page.text
    assert re.search(r"95 % interval 0\.\d{4} to 0\.\d{4} from 2000 pairs", page.text)
    assert "choosing the best epoch on unseen itself" in page.text.lower()


def test_the_page_needs_nothing_else_and_its_links_lead_to_the_runs(few: Path) -> None:
    _, page = made(few)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert page.counts.get("script", 0) == page.counts.get("link", 0) == 0
    drawn = base64.b64decode(page.sources[0].partition(",")[2])
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn == (few / "out" / "curves.svg").read_bytes()
    records = [link for link in page.links if not link.startswith("#")]
    assert len(records) == 6  # journal and artifacts of each run
    assert all((few / "out" / link).exists() for link in records)


def test_many_runs_are_shown_by_their_ends_and_their_spread(many: Path) -> None:
    text, page = made(many)
    results = text[text.index("## Results") : text.index("## Is it noise?")]
    plain, folded = results.split("<details><summary>All 60 rows</summary>")
    assert len(re.findall(r"^\| +\d+ \| try", plain, re.MULTILINE)) == 15
    assert len(re.findall(r"^\| +\d+ \| try", folded, re.MULTILINE)) == 60
    assert "median" in plain
    assert "60 values from 0.1 to 6" in page.text
    assert "The best 7 of 60 rows" in page.text
    assert len(page.sources) == 2  # curves and distribution
    assert page.counts["details"] >= 3
    assert (many / "out" / "rows.csv").read_text().count("\n") == 61
    ranked = pd.read_csv(many / "out" / "rows.csv").sort_values("unseen", ascending=False)["run"]
    assert re.findall(r"^\| +1 \| (try\d\d)", plain, re.MULTILINE) == [ranked.iloc[0]]


def test_a_baseline_and_another_set_are_chosen(few: Path) -> None:
    text, _ = made(few, "--baseline", "better")
    noise = text[text.index("## Is it noise?") : text.index("## Costs")]
    assert "against the baseline better" in noise
    assert len(re.findall("worse *\\|$", noise, re.MULTILINE)) == 2


def test_rows_of_one_name_are_told_apart(project: Path) -> None:
    add_run(project, 1, "twin", 0.5)
    add_run(project, 2, "twin", 0.6)
    text, _ = made(project)
    assert "twin (00000001)" in text
    assert "twin (00000002)" in text


def test_one_run_and_sets_of_other_pairs_are_labelled(project: Path) -> None:
    scores = np.random.default_rng(0).random(10)
    add_run(project, 1, "one", 0.5, scores, pairs=1)
    assert "nothing to compare it with" in made(project)[0]
    add_run(project, 2, "two", 0.6, scores, pairs=2)
    assert "not comparable (other pairs)" in made(project)[0]


def test_groups_of_seeds_are_one_row_with_one_line(project: Path) -> None:
    for number in range(1, 9):
        group = 50 + number % 2
        value = [0.5 + 0.2 * (number % 2) + number / 1000, 0.4]
        add_run(project, number, f"v{group}", value, group=group, seed=number, label_smoothing=number % 2)
    text, _ = made(project)
    assert "Welch's t of seeds" in text
    assert re.search(r"\\| v51 .*better", text)
    assert len(re.findall(r"<li>", (project / "out" / "report.html").read_text())) >= 8  # every run is linked


def test_a_run_that_diverged_or_has_not_begun_does_not_stop_a_report(project: Path) -> None:
    add_run(project, 1, "diverged", [float("nan")] * 3)
    text, _ = made(project)
    assert "diverged" in text
    add_run(project, 2, "good", [0.5, 0.6, 0.7])
    add_run(project, 3, "empty", [])
    text, _ = made(project)
    assert "Best by unseen: good with 0.7" in text
    assert "not comparable (no unseen)" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "stduy"], "did you mean 'study'"),
        (["report", "study", "--select", "unsene"], "no metric 'unsene'"),
        (["report", "study", "--baseline", "nobody"], "no row 'nobody'"),
        (["report", "study", "--baseline", "base", "--baseline", "alike"], "2 baselines"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(
    few: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([*words, "-o", "out"]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert not (few / "out").exists()


def test_nothing_in_a_text_is_markup() -> None:
    evil = "<b>*x*</b> | _y_ [z](u)"
    links = Links([(evil, evil, [("a&b", "p q/x.jsonl")])], fold="all")
    frame = pd.DataFrame({"run": [evil, "plain"], "v": [0.5, 0.123456]})
    blocks = [
        Text([evil]),
        Text([evil], listed=True),
        Table(frame, {"v": [1]}),
        links,
        Picture("c", evil, b"<svg/>"),
    ]
    page = Page(evil, evil, [Section("s", blocks)])
    read = Reader(html(page))
    assert read.counts["b"] == 1  # the bold cell only
    assert read.text.count(evil) >= 6
    text = markdown(page)
    assert "<b>" not in text
    assert "**0.1235**" in text
    assert "(<p q/x.jsonl>)" in text
    assert r"\*x\*" in text


def test_epochs_chosen_by_a_metric_that_is_no_set_are_ranked_by_the_set(project: Path) -> None:
    for number, name in ((1, "base"), (2, "other")):
        add_run(project, number, name, [0.9, 0.6 + number / 100], select="loss")
    text, _ = made(project)
    assert "Best by unseen: base with 0.9 at epoch 1" in text  # the loss is equal: its first epoch
    assert "the epochs were chosen on loss, so unseen is free of the optimism" in text.lower()


def test_a_trunk_is_no_baseline_of_its_own_branches() -> None:
    kept = {"loss": [2.0, 1.0]}
    found = records(
        run("trunk", kept, facts={"started": "2026-01-01"}),
        run("later", kept, facts={"started": "2026-01-03", "parent": "trunk"}),
        run("first", kept, facts={"started": "2026-01-02", "parent": "trunk"}),
    )
    assert collect._first(found, [["trunk"], ["later"], ["first"]]) == 2
