"""Verdicts in `workbench table`, bold for all that may be best, and tables in a text that stay true."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from makers import add_run, add_scored_runs, records
from makers import run as made

from analysis.stats import significance
from analysis.tables import verdicts
from analysis.tables.verdicts import decisions
from workbench.cli import main


@pytest.fixture
def scored(project: Path) -> Path:
    """Three runs on 2,000 common pairs: the baseline, one like it, and one that is clearly better."""
    add_scored_runs(project)
    return project


def test_rows_are_judged_and_all_that_may_be_best_are_bold(
    scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", "--select", "unseen", "--baseline", "base"]) == 0
    lines = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines()[2:]}
    assert "the baseline" in lines["base"]
    assert "indistinguishable" in lines["alike"]
    assert "better" in lines["better"]
    assert [name for name, line in lines.items() if "**" in line] == ["better"]


def test_decisions_count_ties_together() -> None:
    scores, same = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert decisions(scores, same).sum() == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--baseline", "base", "--baseline", "alike"], "2 baselines"),
        (["--baseline", "nobody"], "no row 'nobody'"),
    ],
)
def test_a_wrong_baseline_is_refused(
    scored: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["table", "--select", "unseen", *words]) == 2
    assert said in capsys.readouterr().err


def test_scores_of_different_pairs_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = np.random.default_rng(0).random(10)
    add_run(project, 1, "base", 0.5, scores, pairs=1)
    add_run(project, 2, "other", 0.6, scores, pairs=2)
    assert main(["table", "--select", "unseen", "--baseline", "base"]) == 2
    assert "different pairs" in capsys.readouterr().err


def test_one_seed_against_several_is_not_compared(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(project, 1, "base", 0.5)
    for number, value in ((2, 0.6), (3, 0.7)):
        add_run(project, number, "several", value, group=9, seed=number)
    assert main(["table", "--select", "unseen", "--baseline", "base"]) == 0
    assert "not comparable (one seed)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("paper.md", "<!-- table: --select unseen -->\n", "<!-- /table -->"),
        ("paper.tex", "% table: --select unseen\n", "% /table"),
    ],
)
def test_a_marked_table_is_written_and_checked(
    scored: Path, capsys: pytest.CaptureFixture[str], name: str, begin: str, end: str
) -> None:
    paper = scored / name
    paper.write_text(f"Before.\n{begin}{end}\nAfter.\n")
    assert main(["table", "--check", name]) == 1
    assert main(["table", "--update", name]) == 0
    assert main(["table", "--check", name]) == 0
    text = paper.read_text()
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert ("**" if name.endswith("md") else r"\textbf{") in text
    value = next(word.strip("*|} ") for word in text.split() if word.strip("*|} ").startswith("0."))
    paper.write_text(text.replace(value, f"{float(value) + 1e-4:.4f}"))
    assert main(["table", "--check", name]) == 1
    assert "no longer true: line 2" in capsys.readouterr().err


def test_a_query_that_finds_nothing_is_refused_with_its_line(
    scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scored / "paper.md").write_text("\n\n<!-- table: nobody -->\n<!-- /table -->\n")
    assert main(["table", "--update", "paper.md"]) == 2
    assert "paper.md, line 3" in capsys.readouterr().err
    (scored / "empty.md").write_text("nothing")
    assert main(["table", "--check", "empty.md"]) == 2


def test_check_fails_when_a_stored_value_changes_by_a_ten_thousandth(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_run(project, 1, "base", 0.5)
    add_run(project, 2, "other", 0.6123)
    paper = project / "paper.md"
    paper.write_text("<!-- table: --select unseen -->\n<!-- /table -->\n")
    assert main(["table", "--update", "paper.md"]) == 0
    assert main(["table", "--check", "paper.md"]) == 0
    add_run(project, 2, "other", 0.6124)
    assert main(["table", "--check", "paper.md"]) == 1
    assert main(["table", "--check", "paper.md", "--update", "paper.md"]) == 2
    assert "together" in capsys.readouterr().err


def judged(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, dict[str, object]], str]:
    capsys.readouterr()
    assert main(["table", "--format", "json", *words]) == 0
    out, err = capsys.readouterr()
    return {row["run"]: row for row in json.loads(out)}, err


def test_a_verdict_shows_the_interval_from_the_pairs_and_its_test(
    scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, _ = judged(["--select", "unseen", "--baseline", "base"], capsys)
    better = rows["better"]
    low, high = significance.accuracy_interval(better["unseen"], 2000)
    assert (better["low"], better["high"]) == pytest.approx((low, high))
    assert better["test"] == "McNemar"
    assert better["from"] < better["difference"] < better["to"]
    assert better["p"] < 0.05 < rows["alike"]["p"]


def test_another_metric_can_be_judged_than_the_one_that_chose_the_epoch(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in ((1, "base"), (2, "other")):
        add_run(project, number, name, [0.7, 0.6, 0.5, 0.5], lfw=[0.5, 0.97, 0.96, 0.96])
    rows, said = judged(["--select", "lfw", "--baseline", "base"], capsys)
    assert rows["other"]["lfw"] == 0.97
    assert "choosing the best epoch on lfw itself adds about" in said
    rows, said = judged(["--select", "unseen", "--judge", "lfw", "--baseline", "base"], capsys)
    assert rows["other"]["lfw"] == 0.5  # at the epoch that the other set chose
    assert rows["other"]["verdict"] == significance.SAME
    assert "free of the optimism" in said
    assert main(["table", "--select", "lfw", "--judge", "lwf"]) == 2


def test_scores_of_another_epoch_are_not_used(project: Path) -> None:
    same = np.arange(100) % 2 == 0
    place = find_place(project)
    add_run(project, 1, "base", [0.7, 0.6], same.astype(float), epoch=2)
    from analysis.sources import read_store
    from analysis.tables.summary import summary

    found = read_store(place)
    row = verdicts.rows_of(found, summary(found, "unseen"), "unseen", place)[0]
    assert row.scores is None  # the best epoch is the first
    assert row.pairs == 100


def find_place(project: Path):  # type: ignore[no-untyped-def]
    from workbench.tracking.store import find_store

    return find_store(str(project / "mlruns"))


def test_a_plain_table_of_sets_that_share_a_name_is_no_error(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = np.random.default_rng(0).random(10)
    add_run(project, 1, "one", 0.5, scores, pairs=1)
    add_run(project, 2, "two", 0.6, scores, pairs=2)
    assert main(["table", "--select", "unseen"]) == 0
    assert capsys.readouterr().out.count("**") == 2


@pytest.mark.parametrize("epochs", [20, 50])
def test_the_shown_optimism_of_pure_noise_is_the_order_statistic(epochs: int) -> None:
    """The amount that is printed, over many curves, is the mean excess of their best epochs."""
    rng = np.random.default_rng(7)
    curves = rng.normal(0.5, 0.05, size=(300, epochs))
    found = records(*(made(f"r{n}", {"lfw": row.tolist()}) for n, row in enumerate(curves)))
    rows = [verdicts.Row(f"r{n}", (f"r{n}",), (0.5,), None) for n in range(len(curves))]
    note = verdicts.optimism_note(found, rows, "lfw", "lfw")
    shown = float(re.findall(r"0\.\d{4}", note)[0])
    excess = curves.max(1) - 0.5
    known = {20: 1.86748, 50: 2.24907}[epochs] * 0.05  # Harter, Biometrika 48 (1961)
    error = excess.std(ddof=1) / np.sqrt(len(excess))
    assert abs(shown - known) < 2 * error
    assert abs(shown - excess.mean()) < 3 * error


def test_noise_is_taken_from_the_last_plateau_only() -> None:
    rng = np.random.default_rng(8)
    values = [*np.linspace(0.1, 0.9, 20), *(0.9 + rng.normal(0, 1e-3, 30))]
    found = records(made("r", {"lfw": values, "lr": [0.1] * 20 + [0.01] * 30}))
    rows = [verdicts.Row("r", ("r",), (0.9,), None)]
    assert verdicts.optimism(found, rows, "lfw") == pytest.approx(
        2.04e-3, rel=0.4
    )  # 30 draws: 2.04 deviations


@pytest.mark.parametrize("value", [0.5, 0.61234, 1.0, 123.4567, 0.0])
def test_a_change_of_a_ten_thousandth_shows_in_every_cell(value: float) -> None:
    from analysis.tables.render import cell

    assert cell({"loss": value}, "loss") != cell({"loss": value + 1e-4}, "loss")


@pytest.mark.parametrize("value", [1e30, -1.0, 1.5, float("inf")])
def test_a_value_that_is_no_share_gets_no_verdict_and_breaks_no_table(value: float) -> None:
    """A record of elsewhere may call anything an accuracy."""
    from analysis.tables.verdicts import Row, compare, interval

    odd, sound = Row("odd", ["a"], [value], None, 6000), Row("sound", ["b"], [0.9], None, 6000)
    assert compare(odd, sound, "lfw") is None and compare(sound, odd, "lfw") is None
    assert all(map(math.isnan, interval(odd)))
    assert compare(sound, Row("other", ["c"], [0.8], None, 6000), "lfw") is not None
