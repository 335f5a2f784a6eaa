"""What ends a training in order: SIGTERM, and a lost terminal's SIGHUP, each called by its name."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from workbench.train.signals import StopSignals, orderly_end


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Let no `nohup` around these tests be inherited."""
    old = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in old.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_is_called_by_its_signal(number: signal.Signals) -> None:
    signals = StopSignals(grace_seconds=60)
    with signals.listening():
        assert not signals.stop
        os.kill(os.getpid(), number)
        assert signals.stop and not signals.finish and signals.asked_by == number.name
        os.kill(os.getpid(), signal.SIGTERM)  # the first one counts
        assert signals.asked_by == number.name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_clears_away_what_it_began(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), orderly_end():
        os.kill(os.getpid(), number)


def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = StopSignals(grace_seconds=60)
    with signals.listening():
        os.kill(os.getpid(), signal.SIGHUP)
        assert not signals.stop
