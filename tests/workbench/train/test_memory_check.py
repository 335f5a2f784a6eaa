"""A batch that does not fit is said before the first step; a process that ends without a word has said its last line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.train import memory_check
from workbench.train.request import StopTraining

DYING = """
import os, signal, sys
from workbench.security.children import end_on_purpose, last_words
with last_words("error: it was ended"):
    print("ready", flush=True)
    {what}
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", True),
        ("os.kill(os.getpid(), signal.SIGSEGV)", True),
        ("os._exit(9)", True),
        ("end_on_purpose(); os._exit(9)", False),
        ("pass", False),
        ("sys.exit(3)", False),
        ("raise KeyError", False),
    ],
)
def test_a_process_that_ends_unheard_says_so(root: Path, what: str, said: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING.format(what=what)],
        cwd=root,
        text=True,
        capture_output=True,
        timeout=1200,
    )
    assert done.stdout == "ready\n", done.stderr
    assert ("error: it was ended\n" in done.stderr) == said


def test_what_is_free_is_some_of_what_there_is() -> None:
    total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
    assert 0 < memory_check.available_bytes() < 4 * total


@pytest.mark.tensorflow
def test_a_batch_is_counted_by_hand_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.lazy import tf

    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            layers.InputLayer((32, 32, 3)),
            layers.Conv2D(8, 3),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    weights = 3 * 3 * 3 * 8 + 8 + 7200 * 5 + 5
    image, kept = 32 * 32 * 3, 30 * 30 * 8 + 5
    assert memory_check.needed_bytes(network, 10, deep=True) == 10 * (5 * image + 4 * kept) + 4 * weights
    assert memory_check.needed_bytes(network, 10, deep=False) == 10 * (5 * image + 4 * 30 * 30 * 8)
    trainer, plan = SimpleNamespace(embedder=network), SimpleNamespace(batch_size=100_000, train="all")
    monkeypatch.setattr(memory_check, "available_bytes", lambda: 1 << 30)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    with pytest.raises(StopTraining) as result:
        memory_check.require_memory(trainer, plan)
    assert (
        "100000 images takes at least 4.1 GB, 1.0 GB are free; try a smaller batch_size"
        in result.value.reason
    )
    memory_check.require_memory(trainer, SimpleNamespace(batch_size=1000, train="all"))
