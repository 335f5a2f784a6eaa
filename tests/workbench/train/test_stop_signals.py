"""What each Ctrl-C does, and that it is said before the step at work ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.train.signals import ASKED, StopSignals

BUSY = """
import hashlib, os, sys
from workbench.train.signals import StopSignals
said = lambda text: print(text, flush=True)
with StopSignals(30, said, lambda: said("closed")).listening() as signals:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", int(sys.argv[1]))  # one call of C, as a step of TensorFlow is
    print(signals.finish, signals.stop, signals.asked_by, flush=True)
"""


def busy(root: Path, rounds: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(rounds)],
        text=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_it_is_said_while_the_step_is_still_at_work(root: Path) -> None:
    process = busy(root, 2_000_000_000)  # longer than any test: only a thread can answer
    try:
        for text in ASKED:
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None and process.stdout.readline() == text + "\n"
        assert process.stdout.readline() == "closed\n"
        assert process.wait(timeout=1200) == 130
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([signal.SIGINT], (True, False, "Ctrl-C")),
        ([signal.SIGINT, signal.SIGINT], (True, True, "Ctrl-C")),
        ([signal.SIGTERM], (False, True, "SIGTERM")),
        ([signal.SIGHUP], (False, True, "SIGHUP")),
        ([signal.SIGTERM, signal.SIGINT], (True, True, "SIGTERM")),
    ],
)
def test_what_each_signal_asks_for(numbers: list[int], expected: tuple[bool, bool, str]) -> None:
    said: list[str] = []
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as where these tests were started with nohup
    with StopSignals(60, said.append).listening() as signals:
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.01)
    signal.signal(signal.SIGHUP, ignored)
    assert (signals.finish, signals.stop, signals.asked_by) == expected
    assert said == list(ASKED[: numbers.count(signal.SIGINT)])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
