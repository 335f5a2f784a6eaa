"""What `workbench profile` prints, and what it reads out of a trace, on figures made up here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench.commands.profile import lines
from workbench.profile import xplane
from workbench.profile.timer import Cost, Profile, timed

PARTS = tuple(Cost(part, 0.002, 0.003) for part in ("read", "decode", "augment", "forward", "update"))
REDUCE = Cost("reduce", 0.004, 0.001, "1.00 MB of gradients over 2 devices")


def event(name: str, start: int, length: int) -> tuple[str, int, int]:
    """An operation with its start and length in microseconds."""
    return name, start, length


def space(*planes: tuple[str, list[list[tuple[str, int, int]]]]) -> Any:
    """A trace as TensorFlow writes it: planes with threads with events."""
    found = []
    for title, threads in planes:
        names = sorted({name for thread in threads for name, _, _ in thread})
        made = [
            SimpleNamespace(
                name=f"thread {k}",
                display_name="",
                timestamp_ns=5_000,
                events=[
                    SimpleNamespace(
                        metadata_id=names.index(name), offset_ps=start * 10**6, duration_ps=length * 10**6
                    )
                    for name, start, length in thread
                ],
            )
            for k, thread in enumerate(threads)
        ]
        metadata = {k: SimpleNamespace(name=name) for k, name in enumerate(names)}
        found.append(SimpleNamespace(name=title, lines=made, event_metadata=metadata))
    return SimpleNamespace(planes=found)


def test_the_time_of_an_operation_is_its_own_and_that_of_threads_adds_up() -> None:
    outer, inner = event("net/call:Call", 0, 100), event("net/conv:_MklNativeConv2D", 10, 40)
    later, noise = event("net/conv_1:Conv2D", 200, 20), event("Executor::Process", 0, 500)
    trace = space(("/host:CPU", [[noise, outer, inner, later], [event("a:Conv2D", 0, 10)]]))
    found = {one.kind: one for one in xplane.operations(trace, steps=2)}
    assert set(found) == {"Call", "Conv2D"}
    assert found["Call"].seconds == pytest.approx(60e-6 / 2)
    assert found["Conv2D"].seconds == pytest.approx(70e-6 / 2)
    assert found["Conv2D"].times == 1.5
    assert [one.kind for one in xplane.operations(trace, steps=2)] == ["Conv2D", "Call"]


def test_kernels_of_a_gpu_count_in_the_place_of_what_starts_them() -> None:
    trace = space(
        ("/host:CPU", [[event("conv:Conv2D", 0, 5)]]), ("/device:GPU:0", [[event("volta_sgemm", 3, 80)]])
    )
    assert [one.kind for one in xplane.operations(trace, steps=1)] == ["volta_sgemm"]


def test_browsers_get_every_event_with_its_thread(tmp_path: Path) -> None:
    trace = space(("/host:CPU", [[event("a:Mul", 1, 2)], [event("b:Add", 3, 4)]]))
    path = xplane.write_events(trace, tmp_path / "trace.json.gz")
    content = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    whole = [(e["name"], e["tid"], e["ts"], e["dur"]) for e in content if e["ph"] == "X"]
    assert whole == [("a:Mul", 1, 1.0, 2.0), ("b:Add", 2, 3.0, 4.0)]
    named = {e["args"]["name"] for e in content if e["ph"] == "M"}
    assert named == {"/host:CPU", "thread 0", "thread 1"}


def test_one_device_reduces_nothing_and_says_so(tmp_path: Path) -> None:
    found = Profile((*PARTS, Cost("reduce", 0.0, 0.0, "one device")), 16, 10, 160, 1000, 4000, tmp_path)
    text = "\n".join(lines(found))
    assert "reduce           0.00      0%      0.00  one device" in text
    assert "one device: 16 images a step, 4,000 images a second" in text  # in 2 + 2 ms
    assert "operation" not in text and "Perfetto" not in text  # without a trace


def test_several_devices_show_their_sums_and_their_step_together(tmp_path: Path) -> None:
    together = Cost("together", 0.010, 0.012)
    operations = tuple(xplane.Operation(f"Op{k}", 3.0, 0.001 * (20 - k)) for k in range(12))
    found = Profile(
        (*PARTS, REDUCE),
        16,
        100,
        3200,
        1000,
        4000,
        tmp_path,
        together,
        2,
        operations,
        tmp_path / "trace.json.gz",
    )
    text = lines(found)
    assert any(line.startswith("reduce           4.00     50%") and "1.00 MB" in line for line in text)
    (whole,) = [line for line in text if "together" in line]
    assert "2 devices together, 10.00 ms a step: 32 images a step, 3,200 images a second" in whole
    assert any(line.startswith("epoch: 100 steps, 1.0 s") for line in text)
    assert [line.split()[0] for line in text if line.startswith("Op")] == [f"Op{k}" for k in range(8)]
    assert f"trace: {tmp_path / 'trace.json.gz'} (open it in Perfetto or chrome://tracing)" in text


def test_a_part_never_costs_less_than_nothing_and_the_first_call_does_not_count() -> None:
    calls: list[int] = []
    cost = timed("x", lambda: calls.append(1), repeats=3)
    assert len(calls) == 4
    assert cost.less(Cost("y", 1.0, 1.0), "rest", "why") == Cost("rest", 0.0, 0.0, "why")
