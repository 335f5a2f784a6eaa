"""Verdicts in `workbench table`, bold for all that may be best, and tables in a text that stay true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.verdicts import decisions
from workbench.cli import main
from workbench.tracking.journal import JournalWriter
from workbench.tracking.records import EndRecord, EpochRecord, StartRecord


def add_run(
    project: Path, number: int, name: str, value: float, scores: np.ndarray | None = None, **more: int
) -> str:
    run = f"20260101T00000{number}Z-0000000{number}"
    parameters = {"batch_size": 8, "label_smoothing": number / 10, **more}
    seed = more.get("seed", 0)
    start = StartRecord(
        run=run, id=f"{more.get('group', number):012x}", study="study", name=name, seed=seed, parameters=parameters,
        stages=({"number": 1, "name": "Softmax", "epochs": 1, "first_epoch": 1},),
    )  # fmt: skip
    with JournalWriter(project / "mlruns" / "journal" / f"{run}.jsonl") as journal:
        journal.append(start)
        row = {"loss": 1.0, "unseen": value}
        journal.append(EpochRecord(stage=1, stage_epoch=1, epoch=1, step=1, metrics=row, seconds=1.0))
        journal.append(EndRecord(status="finished"))
    if scores is not None:
        place = project / "mlruns" / "journal" / f"{run}.d" / "artifacts" / "scores" / "best"
        place.mkdir(parents=True)
        same = np.arange(len(scores)) % 2 == 0
        np.savez(place / "unseen.npz", scores=scores, same=same, pairs=str(more.get("pairs", "p")), epoch=1)
    return run


@pytest.fixture
def scored(project: Path) -> Path:
    """Three runs on 2,000 common pairs: the baseline, one like it, and one that is clearly better."""
    rng = np.random.default_rng(0)
    same = np.arange(2000) % 2 == 0
    for number, (name, noise) in enumerate({"base": 1.0, "alike": 1.0, "better": 0.6}.items(), start=1):
        scores = same + rng.normal(0, noise, 2000)
        add_run(project, number, name, float(np.mean(decisions(scores, same))), scores)
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
