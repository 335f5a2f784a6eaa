"""`workbench losses`: every loss is listed with its settings; any set of margins can be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import workbench
from workbench.cli import main
from workbench.commands import losses
from workbench.errors import SpecError


def test_every_loss_is_listed_with_all_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["losses"]) == 0
    printed = capsys.readouterr().out
    names = [name for name, module in workbench.PARTS.items() if module.startswith("workbench.losses")]
    for name in names:
        loss = getattr(workbench, name)()
        assert f"{name}  recorded as {loss.term}" in printed
        for setting, value in loss.settings().items():
            assert f"{setting}={value}" in printed


def test_terms_have_names_of_their_own() -> None:
    terms = [row["recorded as"] for row in losses.rows()]
    assert len(set(terms)) == len(terms)
    assert all(term.endswith("_loss") for term in terms)


@pytest.mark.parametrize("text", ["Softmax()", "Triplet()", "SGD()", "3"])
def test_what_has_no_curve_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="no curve of a target logit; expected a loss on scaled cosines"):
        losses.loss_of(text if "(" in text else f"{text}")


@pytest.mark.tensorflow
def test_the_picture_shows_the_margins_that_were_asked_for(project: Path) -> None:
    margins = ["ArcFace(margin=0.3)", "CombinedMargin(m1=0.9, m2=0.4, m3=0.15)", "MagFace", "AdaFace"]
    assert main(["losses", *margins, "-o", "out/margins.svg"]) == 0
    assert (project / "out" / "margins.svg").read_text().startswith("<?xml")
    axes = losses.draw([losses.loss_of(text) for text in margins]).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:2] == [
        "ArcFace(margin=0.3, beyond=monotone)",
        "CombinedMargin(m1=0.9, m2=0.4, m3=0.15, beyond=monotone)",
    ]
    assert labels[2:4] == ["MagFace(margin=0.45), norm 10", "MagFace(margin=0.8), norm 110"]
    assert labels[4:] == [f"AdaFace(margin=0.4), quality {z}" for z in (-1, 0, 1)]
    both = losses.draw(
        [losses.loss_of("MarginSoftmax(scale=0.5)"), losses.loss_of("ScaledSoftmax(scale=32)")]
    )
    margin, panel, softmax = (every.lines[0].get_data() for every in both.axes)
    assert panel[1][-1] == pytest.approx((1 + 0.5) / 2)
    assert panel[1][250] == pytest.approx((0.5**2 + 0.5 * 0.5) / 2)
    powers = np.exp(32 * np.linspace(0, 1, 100))
    np.testing.assert_allclose(softmax[1], powers / powers.sum(), rtol=1e-6)
    np.testing.assert_allclose(margin[0], margin[1])  # scaled softmax leaves the cosine as it is
    cosine, t = axes.lines[0].get_data()
    assert t[0] == pytest.approx(0.955336, abs=1e-5)  # cos(0.3) at cosine 1
    assert cosine[0] == 1
