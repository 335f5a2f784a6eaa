"""What `check` says of a weight decay in the words of the other forms; what each rule refuses."""

from __future__ import annotations

import pytest

from workbench.errors import SpecError
from workbench.optimizers import (
    L2,
    SGD,
    SGDW,
    Adam,
    AdamW,
    Coupled,
    Decoupled,
    LazyAdam,
    Lookahead,
    equivalents,
)
from workbench.optimizers.schedules import Constant
from workbench.spec.optimization import WeightDecay
from workbench.spec.part import coerce

AT = Constant(0.1)


def test_the_three_forms_name_each_other():
    assert "equals tfa SGDW weight_decay=5e-05 at lr 0.1" in equivalents(L2(5e-4), SGD(), AT)
    assert "equals tfa SGDW weight_decay=5e-05 at lr 0.1" in equivalents(Coupled(5e-4), SGD(), AT)
    assert "equals L2(0.0005), Keras l2(0.00025)" in equivalents(Coupled(5e-4), Adam(), AT)
    lines = equivalents(Decoupled(5e-5), SGD(), AT)
    assert "equals Coupled(0.0005), MXNet and PyTorch SGD wd=0.0005 at lr 0.1" in lines
    assert "equals L2(0.0005), Keras l2(0.00025) at lr 0.1" in lines


def test_limits_are_said():
    assert any(
        "momentum 0.9" in line and "10 times" in line for line in equivalents(L2(5e-4), SGD(momentum=0.9), AT)
    )
    assert any("no equal" in line for line in equivalents(Decoupled(5e-4), Adam(), AT))
    assert equivalents(None, SGD(), AT) == ["no weight decay"]


def test_head_and_scope_are_said():
    assert "on the head's weights 10 times as much: 0.005" in equivalents(L2(5e-4, head=10), SGD(), AT)
    lines = equivalents(Decoupled(5e-5, head_l2=10, norms=False, biases=False), SGD(), AT)
    assert "on the head's weights also L2(0.0045), Keras l2(0.00225)" in lines
    assert lines[-1] == "spares batch-normalisation and PReLU parameters and biases"


def test_a_number_is_decoupled():
    assert coerce(5e-5, WeightDecay, "weight_decay") == Decoupled(5e-5)


@pytest.mark.parametrize("rule", [SGDW(), AdamW(), LazyAdam(), Lookahead(optimizer=AdamW())], ids=str)
@pytest.mark.parametrize("decay", [L2(0.1), Coupled(0.1)], ids=str)
def test_decoupled_rules_refuse_the_other_forms(rule, decay):
    with pytest.raises(SpecError, match="refuses .*expected Decoupled or a number.*or take"):
        rule.admits(decay)
    rule.admits(Decoupled(0.1))
    rule.admits(None)


def test_bad_settings_are_refused():
    with pytest.raises(SpecError, match="multiplied twice: head=10 and head_l2=10"):
        Decoupled(5e-5, head=10, head_l2=10)
    with pytest.raises(SpecError, match="nesterov without momentum"):
        SGD(nesterov=True)
    with pytest.raises(SpecError, match="Lookahead around Lookahead"):
        Lookahead(optimizer=Lookahead())
