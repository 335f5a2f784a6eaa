"""Nearest neighbours against a full sort, ties included; the approximate index by its recall."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.verification import search
from workbench.verification.gallery import Gallery
from workbench.verification.identification import identify


def sorted_all(probes: np.ndarray, gallery: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    products = probes @ gallery.T
    order = np.argsort(-products, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(products, order, 1), order


@pytest.mark.parametrize(("size", "count"), [(5, 10), (100, 1), (3000, 10), (3000, 700)])
@pytest.mark.parametrize("ties", [False, True])
def test_exact_search_against_a_full_sort(size: int, count: int, ties: bool, monkeypatch) -> None:
    monkeypatch.setattr(search, "GALLERY_BLOCK", 512)
    monkeypatch.setattr(search, "PROBE_BLOCK", 16)
    rng = np.random.default_rng(size)
    gallery, probes = rng.normal(size=(size, 8)), rng.normal(size=(37, 8))
    if ties:
        gallery, probes = (
            np.round(gallery),
            np.round(probes),
        )  # whole numbers: products are exact, and often equal
    gallery, probes = gallery.astype(np.float32), probes.astype(np.float32)
    found = search.exact(probes, gallery, count)
    scores, numbers = sorted_all(probes, gallery, count)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    if ties:
        np.testing.assert_array_equal(found.numbers, numbers)
    else:
        assert (found.numbers == numbers).mean() > 0.999


def test_impossible_searches_are_refused() -> None:
    with pytest.raises(DataError, match="vectors of one length"):
        search.exact(np.zeros((2, 3)), np.zeros((4, 5)), 1)
    with pytest.raises(DataError, match="the 0 nearest"):
        search.exact(np.zeros((2, 3)), np.zeros((4, 3)), 0)
    with pytest.raises(DataError, match="1 of 4 gallery vectors have no direction"):
        search.Index(np.eye(4, 3))


def test_the_approximate_index_tells_its_recall() -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(3000, 16)).astype(np.float32)
    probes = gallery[:50] + 0.05 * rng.normal(size=(50, 16)).astype(np.float32)
    index = search.Index(gallery, approximate_above=1000)
    assert index.is_approximate
    found = index.search(probes, 3)
    assert (found.numbers[:, 0] == np.arange(50)).mean() > 0.95
    assert 0.9 < index.recall(probes, 10) <= 1
    exact = search.Index(gallery, approximate_above=None)
    assert not exact.is_approximate
    assert exact.recall(probes) == 1
    np.testing.assert_allclose(exact.search(probes, 1).scores[:, 0], found.scores[:, 0], atol=1e-5)


def brute_identification(probes, probe_ids, gallery, gallery_ids, fpir):
    """Each probe by itself, by the text of the two conventions."""
    ranks, mates, wrong, strangers, first = [], [], [], [], []
    for probe, who in zip(probes, probe_ids, strict=True):
        scores = [float(probe @ vector) for vector in gallery]
        order = sorted(range(len(gallery)), key=lambda k: (-scores[k], k))
        if who in gallery_ids:
            own = list(gallery_ids).index(who)
            ranks.append(order.index(own) + 1)
            mates.append(scores[own])
            wrong += [score for k, score in enumerate(scores) if k != own]
            first.append(scores[own] if order[0] == own else -9)
        else:
            strangers.append(max(scores))
    wrong.sort(reverse=True)
    place = int(np.ceil(len(mates) * fpir))
    field = float(np.mean([score > wrong[place - 1] for score in mates]))
    best = None
    for threshold in sorted([*strangers, np.nextafter(max(strangers), np.inf)]) if strangers else []:
        if np.mean([score >= threshold for score in strangers]) <= fpir:
            best = float(np.mean([score > np.nextafter(threshold, -np.inf) for score in first]))
            break
    return ranks, field, best


@pytest.mark.parametrize("ties", [False, True])
def test_identification_against_a_loop(ties: bool) -> None:
    rng = np.random.default_rng(3)
    gallery_ids = rng.permutation(40)[:30]
    probe_ids = rng.integers(0, 40, 200)
    centres = rng.normal(size=(40, 6))
    gallery = centres[gallery_ids] + 0.4 * rng.normal(size=(30, 6))
    probes = centres[probe_ids] + 0.9 * rng.normal(size=(200, 6))
    if ties:
        gallery, probes = np.round(gallery), np.round(probes)
    for fpir in (0.1, 0.3):
        ranks, field, best = brute_identification(probes, probe_ids, gallery, gallery_ids, fpir)
        found = identify(probes, probe_ids, gallery, gallery_ids, fpirs=(fpir,))
        assert found.mated == len(ranks)
        assert found.unmated == 200 - len(ranks)
        for k in (1, 5, 10):
            assert found.ranks[k].value == pytest.approx(np.mean([rank <= k for rank in ranks]))
        assert found.field_way[fpir] == pytest.approx(field)
        if not ties:  # with ties the loop's threshold is a stranger's own score, ours lies just above
            stranger_threshold = found.thresholds[fpir]
            assert np.isfinite(stranger_threshold)
            assert found.open_set[fpir].value == pytest.approx(best, abs=0.03)


def test_open_set_by_hand() -> None:
    gallery = np.eye(3)
    strangers = np.array([[0.1 * k, 0, 0] for k in range(1, 11)])  # top scores 0.1 to 1.0
    mates = np.array(
        [[0.95, 0, 0], [0, 0.2, 0], [0, 0, 1.5], [0.5, 0.4, 0]]
    )  # the last one is second to another
    probes = np.concatenate([strangers, mates])
    ids = np.array([9] * 10 + [0, 1, 2, 1])
    found = identify(probes, ids, gallery, np.arange(3), fpirs=(0.1, 0.01))
    assert found.thresholds[0.1] == np.nextafter(0.9, 1)  # one stranger of ten, at 1.0, may pass
    assert found.open_set[0.1].value == 0.5
    assert found.ranks[1].value == 0.75
    assert found.ranks[5].value == 1
    assert found.open_set[0.01] is None
    assert found.messages == ("FPIR 0.01 needs 100 probes without a mate, there are 10",)


def test_impossible_identification_is_refused() -> None:
    with pytest.raises(DataError, match="identity 7 is in the gallery twice"):
        identify(np.eye(2), np.array([7, 8]), np.eye(2), np.array([7, 7]))
    with pytest.raises(DataError, match="no probe has its identity in the gallery"):
        identify(np.eye(2), np.array([7, 8]), np.eye(2), np.array([1, 2]))


def test_known_people() -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(60, 32))
    names = [f"p{k}" for k in range(60) for _ in range(4)]
    embeddings = np.repeat(centres, 4, 0) + 0.4 * rng.normal(size=(240, 32))
    known = Gallery(embeddings.astype(np.float32), names)
    calibrated = known.calibrated(0.05)
    assert calibrated.tar.value > 0.9
    (answer,) = known.identify(centres[3:4].astype(np.float32), calibrated.threshold)
    assert (answer.person, answer.known) == ("p3", True)
    strangers = rng.normal(size=(4000, 32)).astype(np.float32)
    passed = np.mean([answer.known for answer in known.identify(strangers, calibrated.threshold)])
    assert 0.01 < passed < 0.1
    with pytest.raises(DataError, match="1 known person"):
        Gallery(embeddings[:4], names[:4]).calibrated(0.1)
