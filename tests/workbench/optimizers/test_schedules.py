"""Schedules against their formulas, in plain Python: borders, restarts, warm-up, checks and picture."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from material import plan as bare_plan

from workbench.errors import SpecError
from workbench.optimizers import SGD
from workbench.optimizers.schedule_preview import picture, recorded, refuse
from workbench.optimizers.schedules import Constant, Cosine, Exponential, InverseTime, Steps
from workbench.spec.devices import OneDevice
from workbench.spec.part import to_json

FIELD = Cosine(peak=0.1, cycle=16, growth=2, cooldown=1)


def plan(schedule, epochs, first=1, offset=0.0, advances=True, number=1):
    return bare_plan(
        number=number,
        name=f"part {number}",
        epochs=epochs,
        first_epoch=first,
        schedule=schedule,
        schedule_offset=offset,
        advances_schedule=advances,
        optimizer=SGD(),
        batch_size=1,
        devices=OneDevice(),
    )


def test_restarts_of_the_field():
    rates = [FIELD.at(epoch) for epoch in range(200)]
    jumps = [epoch for epoch in range(1, 200) if rates[epoch] > rates[epoch - 1]]
    assert jumps == [17, 50, 115] == [16 * 1 + 1, 16 * 3 + 2, 16 * 7 + 3]
    assert [rates[epoch] for epoch in (16, 49, 114)] == pytest.approx([1e-5] * 3)  # the cool-down epochs
    assert [rates[epoch] for epoch in (0, 17, 50, 115)] == pytest.approx([0.1] * 4)
    assert FIELD.breaks(114) == (18, 51)
    assert FIELD.breaks(200) == (18, 51, 116)


def test_cosine_is_its_formula():
    cosine = Cosine(peak=0.1, floor=0.001, cycle=4, growth=2, decay=0.5, cooldown=0, per="batch")
    for t in (0.0, 0.25, 3.999):
        assert cosine.at(t) == pytest.approx(0.001 + 0.099 * (1 + math.cos(math.pi * t / 4)) / 2)
    for t in (4.0, 7.5, 11.99):
        expected = 0.001 + 0.099 * 0.5 * (1 + math.cos(math.pi * (t - 4) / 8)) / 2
        assert cosine.at(t) == pytest.approx(expected)
    assert cosine.at(12.0) == pytest.approx(0.001 + 0.099 * 0.25)
    assert cosine.breaks(50) == (5, 13, 29)


def test_cosine_without_restarts_stays_at_the_floor():
    once = Cosine(peak=0.1, floor=0.001, cycle=4, restarts=False)
    assert [once.at(t) for t in (4, 5, 100)] == pytest.approx([0.001] * 3)
    assert once.breaks(100) == ()


def test_fractional_cycles_restart_at_the_next_epoch():
    for per, epochs in (("epoch", (5, 11)), ("batch", (5, 10))):
        cosine = Cosine(peak=0.1, cycle=4, growth=1.375, cooldown=0, per=per)  # starts 0, 4, 9.5
        assert cosine.breaks(12) == epochs
    drops = Cosine(peak=0.1, cycle=4, growth=1.375, cooldown=0)
    assert drops.at(10) > drops.at(9)


def test_steps_hold_from_their_epoch_on():
    steps = Steps(peak=0.1, factor=0.1, from_epochs=(21, 31))
    assert steps.at(19.999) == pytest.approx(0.1)  # within the 20th epoch
    assert steps.at(20.0) == pytest.approx(0.01)  # the 21st begins
    assert steps.at(30.0) == pytest.approx(0.001)
    assert steps.breaks(25) == (21,)
    assert steps.breaks(31) == (21, 31)


def test_exponential_and_inverse_time():
    exponential = Exponential(peak=0.1, rate=0.05, hold=3, per="batch")
    assert exponential.at(3.0) == pytest.approx(0.1)
    assert exponential.at(13.5) == pytest.approx(0.1 * math.exp(-0.05 * 10.5))
    inverse = InverseTime(peak=0.1, rate=0.5)
    assert [inverse.at(t) for t in (0, 1.9, 2)] == pytest.approx([0.1, 0.1 / 1.5, 0.05])


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(0.1, warmup=4),
        Steps(peak=0.1, from_epochs=(9,), warmup=4),
        Exponential(peak=0.1, rate=0.1, warmup=4),
        InverseTime(peak=0.1, rate=0.1, warmup=4),
        Cosine(peak=0.1, cycle=8, warmup=4),
    ],
    ids=lambda s: type(s).__name__,
)
def test_warmup_comes_before_any_schedule(schedule):
    assert [schedule.at(t) for t in range(5)] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert schedule.at(1.7) == schedule.at(1)  # per epoch: floor(t)
    smooth = schedule.but(per="batch")
    assert smooth.at(1.7) == pytest.approx(0.1 * 2.7 / 5)
    assert smooth.peak_rate() == 0.1


@pytest.mark.parametrize("per", ["epoch", "batch"])
def test_a_warmup_may_start_at_a_rate_of_its_own(per):
    """The schedules of Keras_insightface begin at their floor and have the peak after the warm-up."""
    for schedule in (
        Constant(0.1, warmup=4, start=0.02, per=per),
        Cosine(peak=0.1, cycle=8, warmup=4, start=0.02, per=per),
        Exponential(peak=0.1, rate=0.1, warmup=4, start=0.02, per=per),
    ):
        found = [schedule.at(t) for t in (0, 1, 2.5, 3, 4)]
        assert found == pytest.approx([0.02, 0.04, 0.06 if per == "epoch" else 0.07, 0.08, 0.1])
    assert "start" not in to_json(Constant(0.1, warmup=4), identity=True)


def test_exponential_decay_ends_at_its_floor():
    schedule = Exponential(peak=0.1, rate=0.5, floor=0.01, warmup=2, start=0.01)

    def oracle(epoch, base=0.1, rate=0.5, low=0.01, warm=2):  # the notebook's exp_scheduler
        value = low + (base - low) * epoch / warm if epoch < warm else base * math.exp(rate * (warm - epoch))
        return max(value, low)

    assert [schedule.at(t) for t in range(12)] == pytest.approx([oracle(t) for t in range(12)])
    assert schedule.at(11) == 0.01


def test_per_batch_moves_within_an_epoch_and_per_epoch_does_not():
    assert FIELD.at(3.0) == FIELD.at(3.99)
    assert FIELD.but(per="batch").at(3.0) > FIELD.but(per="batch").at(3.99)


def test_constant_is_constant():
    assert {Constant(0.3).at(t) for t in (0, 0.5, 7, 1e6)} == {0.3}
    assert Constant(0.3).breaks(10) == ()


def test_a_number_is_a_constant_and_costs_no_tensorflow():
    code = (
        "import sys; from workbench import Cosine, L2, SGD, Stage, LAMB\n"
        "from workbench.spec.part import coerce\nfrom workbench.spec.optimization import Schedule\n"
        "assert str(coerce(0.1, Schedule, 'x')) == 'Constant(rate=0.1)'\n"
        "Cosine(peak=0.1, cycle=3).at(2.5); LAMB()\n"
        "assert not {'tensorflow', 'tensorflow_addons'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(0.0), "above 0"),
        (lambda: Constant(-0.1), "above 0"),
        (lambda: Cosine(peak=0.1, floor=0.2, cycle=3), "not below the peak"),
        (lambda: Cosine(peak=0.1, cycle=3, decay=0), "above 0"),
        (lambda: Steps(peak=0.1, from_epochs=(31, 21)), "not ascending"),
        (lambda: Steps(peak=0.1, from_epochs=(3,), warmup=3), "falls into the warm-up"),
        (lambda: Cosine(peak=0.1, cycle=3, coldown=1), "did you mean 'cooldown'"),
        (lambda: Cosine(peak=0.1, cycle=3, start=0.01), "a start without a warm-up"),
        (lambda: Constant(0.1, warmup=2, start=0.2), "0.2 is not below the peak 0.1"),
        (lambda: Exponential(peak=0.1, rate=1, floor=0.1), "not below the peak"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_a_first_cycle_longer_than_the_run_is_refused_naming_the_stage():
    refuse([plan(FIELD, 8), plan(FIELD, 8, first=9, offset=8, number=2)])  # 16 epochs in all: fits
    with pytest.raises(
        SpecError, match=r"stage 1 \(part 1\).*first cycle of 16 epochs.*15 epochs.*shorten cycle"
    ):
        refuse([plan(FIELD, 8), plan(FIELD, 7, first=9, offset=8, number=2)])
    with pytest.raises(SpecError, match="first cycle"):  # epochs that do not move the schedule do not count
        refuse([plan(FIELD, 15), plan(FIELD, 9, first=16, offset=15, advances=False, number=2)])


def test_a_warmup_longer_than_its_stage_is_refused_naming_the_stage():
    late = plan(Constant(0.1, warmup=6), 5, first=4, number=2)
    with pytest.raises(SpecError, match=r"stage 2 \(part 2\).*warm-up of 6.*stage of 5.*lengthen"):
        refuse([plan(Constant(0.1), 3), late])
    refuse([plan(Constant(0.1, warmup=5), 5)])


def test_recorded_rate_is_that_of_the_last_step():
    smooth = FIELD.but(per="batch")
    assert recorded(plan(smooth, 2, offset=3.0), 10) == pytest.approx([smooth.at(3.9), smooth.at(4.9)])
    assert recorded(plan(smooth, 2, offset=3.0, advances=False), 10) == [smooth.at(3.0)] * 2


def test_picture_shows_the_shape_and_the_stage_starts():
    lines = picture([plan(FIELD, 17), plan(FIELD, 33, first=18, offset=17, number=2)], width=50, height=4)
    assert lines[0].startswith("  0.1 ┤█") and lines[3].startswith("1e-05 ┤")
    assert lines[4].index("┬", 9) - lines[4].index("┬") == 17  # a column an epoch: the second stage
    assert lines[5].split() == ["epoch", "1", "18", "50"]
    top = lines[0].split("┤")[1].ljust(50)
    assert top[16] == " " and top[17] == "█"  # the cool-down epoch and the restart
    assert picture([plan(Constant(0.1), 4)]) == ["learning rate 0.1 throughout 4 epochs"]


def test_a_branch_may_leave_its_trunk_inside_the_first_cycle() -> None:
    """The trunk's own run has the whole cycle; what a branch trains of it ends where the branch means to."""
    from specs import tiny

    from workbench import Softmax, Stage

    whole = tiny(stages=Stage(loss=Softmax(), epochs=10), learning_rate=Cosine(peak=0.1, floor=0.0, cycle=10))
    refuse(*whole.judged())
    for at in (1, 4, 9):
        branch = whole.branch(at_epoch=at, stages=Stage(loss=Softmax(), epochs=1), name="short")
        assert branch.epochs == at + 1
        refuse(*branch.judged())
        if branch.epochs < 10:
            with pytest.raises(
                SpecError, match="first cycle of 10"
            ):  # as a training of its own it never ends
                refuse(*branch.but(trunk=None).judged())
    own = whole.branch(
        at_epoch=4,
        stages=Stage(loss=Softmax(), epochs=3, learning_rate=Cosine(peak=0.1, floor=0.0, cycle=8)),
        name="own",
    )
    with pytest.raises(SpecError, match="first cycle of 8"):
        refuse(*own.judged())
