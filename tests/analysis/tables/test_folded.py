"""Folds of an experiment as one row: mean, standard error, thresholds of the other folds, verdicts over all pairs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from makers import add_run
from sklearn.metrics import roc_auc_score, roc_curve

from analysis.commands.table_text import TableQuery, records_of
from analysis.tables import folded, verdicts
from analysis.tables.summary import summary
from workbench.cli import main
from workbench.errors import RecordError
from workbench.tracking.store import find_store


def drawn(noise: float, seed: int, folds: int = 10, pairs: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and kinds [folds, pairs]."""
    same = np.tile(np.arange(pairs) % 2 == 0, (folds, 1))
    return same + np.random.default_rng(seed).normal(0, noise, same.shape), same


def add_folds(
    project: Path, name: str, noise: float, first: int, count: int = 10, seed: int = 0, later: int = 0
) -> np.ndarray:
    """Write the runs of some folds of ten; return all their scores [count, pairs]."""
    scores, same = drawn(noise, first + 7 * seed)
    for fold in range(count):
        more = {
            "fold": fold + 1,
            "fold.count": 10,
            "fold.recipe": f"{first:012x}",
            "fold.name": name,
            "evaluate.unseen.sets": str(fold + 1),
            "seed": seed,
            "group": first * 100 + fold,
        }
        run = add_run(project, first + 20 * seed + fold + later, f"{name}-{fold + 1}", [0.1, 0.2], **more)
        place = find_store(None).run_artifacts(run) / "scores" / "last"
        place.mkdir(parents=True)
        packed = io.BytesIO()
        np.savez(packed, scores=scores[fold], same=same[fold], pairs=f"p{fold}", epoch=2)
        (place / "unseen.npz").write_bytes(packed.getvalue())
    return scores[:count]


def protocol(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the accuracy of each fold, by trying every score of the other folds as the threshold."""
    found = []
    for fold in range(len(scores)):
        others, kinds = np.delete(scores, fold, 0).ravel(), np.delete(same, fold, 0).ravel()
        limits = np.unique(others)
        best = limits[max(range(len(limits)), key=lambda k: (((others >= limits[k]) == kinds).sum(), k))]
        found.append(((scores[fold] >= best) == same[fold]).mean())
    return np.array(found)


def test_ten_folds_are_one_row(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = add_folds(project, "base", 0.5, 100)
    same = drawn(0.5, 100)[1]
    wanted = protocol(scores, same)
    records = folded.collapsed(records_of(TableQuery()), find_store(None))
    frame = summary(records, "unseen")
    assert len(frame) == 1
    row = frame.iloc[0]
    assert (row["run"], row["folds"], row["epoch"]) == ("base", 10, 2)
    assert row["unseen"] == pytest.approx(wanted.mean())
    assert row["unseen SE"] == pytest.approx(np.sqrt(((wanted - wanted.mean()) ** 2).sum() / 9 / 10))
    assert not any("sets" in name or "recipe" in name for name in frame)
    assert main(["table"]) == 0
    assert "base" in capsys.readouterr().out


def test_the_time_of_folds_is_unknown_where_one_of_them_has_none(project: Path) -> None:
    add_folds(project, "base", 0.5, 100)
    records = records_of(TableQuery())
    place = find_store(None)
    records.runs["seconds"] = 3.0
    assert folded.collapsed(records, place).runs["seconds"].tolist() == [30.0]
    records.runs.loc[4, "seconds"] = np.nan
    assert np.isnan(folded.collapsed(records, place).runs["seconds"].iloc[0])


def test_two_experiments_are_compared_over_all_their_pairs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_folds(project, "base", 0.7, 100)
    add_folds(project, "better", 0.4, 200)
    records = folded.collapsed(records_of(TableQuery()), find_store(None))
    rows = verdicts.rows_of(records, summary(records, "unseen"), "unseen", find_store(None))
    assert [row.pairs for row in rows] == [600, 600]
    assert main(["table", "--baseline", "base", "--select", "unseen"]) == 0
    said = capsys.readouterr().out
    assert "McNemar" in said and "better" in said.rsplit("McNemar", 1)[1]


def test_seeds_of_folds_are_one_row_with_a_spread(project: Path) -> None:
    add_folds(project, "base", 0.5, 100)
    add_folds(project, "base", 0.5, 100, seed=1)
    records = folded.collapsed(records_of(TableQuery()), find_store(None))
    frame = summary(records, "unseen")
    assert frame[["run", "seeds", "folds"]].values.tolist() == [["base", 2, 10]]


def test_folds_that_are_not_all_there_are_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_folds(project, "base", 0.5, 100, count=4)
    add_run(project, 1, "other", 0.5)
    assert main(["table"]) == 0
    out = capsys.readouterr()
    assert "4 of 10 folds" in out.err
    assert out.out.count("base") == 1 and "other" in out.out


def test_the_newest_run_of_a_fold_counts(project: Path) -> None:
    add_folds(project, "base", 0.5, 100)
    add_folds(project, "base", 0.5, 100, count=3, later=500)
    runs = records_of(TableQuery()).runs
    (members,) = folded.groups(runs)
    starts = [runs["run"].iloc[position][9:15] for position in members]
    assert starts == ["000600", "000601", "000602", *(f"{103 + k:06d}" for k in range(7))]


def test_the_band_of_roc_curves_is_theirs() -> None:
    scores, same = drawn(0.6, 3, pairs=200)
    fold_of = np.repeat(np.arange(10), 200)
    found = folded.of_scores(scores.ravel(), same.ravel(), fold_of, range(1, 11))
    rates, mean, error = folded.roc_band(found, 50)
    curves = []
    for own, kinds in zip(scores, same):
        far, tar, _ = roc_curve(kinds, own, drop_intermediate=False)
        curves.append([tar[far <= rate + 1e-9].max() for rate in rates])
    assert np.allclose(mean, np.mean(curves, 0))
    assert np.allclose(error, np.std(curves, 0, ddof=1) / np.sqrt(10))
    assert rates[0] == pytest.approx(1 / 100)


def test_a_fold_of_one_kind_of_pairs_has_no_curve() -> None:
    scores, same = drawn(0.6, 3)
    same[4] = True
    found = folded.of_scores(scores.ravel(), same.ravel(), np.repeat(np.arange(10), 60), range(1, 11))
    for measure in (folded.roc_band, folded.mean_area):
        with pytest.raises(RecordError, match="fold 5: all 60 pairs are genuine"):
            measure(found)


def test_folds_as_one_result_together_and_among_published_ones(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = add_folds(project, "base", 0.7, 100), add_folds(project, "more", 0.7, 200)
    same = drawn(0.7, 100)[1]
    listed = project / "published.csv"
    listed.write_text(
        "category,method,mean_accuracy,standard_error\nUnrestricted,Best,0.99,0.001\nOther,Chance,0.5,\n"
    )
    words = ["folds", "study", "--together"]
    assert main([*words, "--json"]) == 0
    found = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["base"]["mean"] == pytest.approx(protocol(one, same).mean())
    assert found["together"]["mean"] == pytest.approx(protocol((one + other) / 2, same).mean())
    assert found["together"]["mean"] > max(found["base"]["mean"], found["more"]["mean"])
    assert main([*words, "base", "--published", str(listed), "-o", str(project / "roc.svg")]) == 0
    out = capsys.readouterr().out
    table = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("|")]
    assert table[2:] == ["Best", "**study/base**", "**study/together**", "Chance"]
    assert (project / "roc.svg").stat().st_size > 1000
    assert main([*words, "--published", str(listed), "--category", "unrest"]) == 0
    assert "Chance" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["folds", "study", "bose"], "no folds of 'bose'"),
        (["folds", "study", "--set", "lfv"], "no set 'lfv'"),
        (["folds", "study", "--published", "none.csv"], "cannot be read"),
        (["folds", "other"], "has no folds with scores"),
    ],
)
def test_what_has_no_folds_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    add_folds(project, "base", 0.5, 100)
    add_run(project, 1, "plain", 0.5, study="other")
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_the_area_is_the_chance_of_a_genuine_pair_above_an_impostor_pair() -> None:
    scores, same = drawn(0.6, 3, pairs=200)
    found = folded.of_scores(scores.ravel(), same.ravel(), np.repeat(np.arange(10), 200), range(1, 11))
    areas = [roc_auc_score(kinds, own) for own, kinds in zip(scores, same)]
    assert folded.mean_area(found) == pytest.approx((np.mean(areas), np.std(areas, ddof=1) / np.sqrt(10)))
