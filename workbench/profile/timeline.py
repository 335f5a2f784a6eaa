"""One traced step as a page that any browser shows without a network: threads as rows, operations as bars."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.profile import xplane

WIDTH, ROW, LEFT, TOP = 1400, 22, 190, 40  # pixels
LEAST = 0.4  # pixels; shorter operations are left out
SHOWN = 8  # types of operations with a colour of their own
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99")
OTHERS = "#bbbbbb"
STYLE = (
    "body{font:13px sans-serif;margin:20px} text{font:11px sans-serif} span{padding:2px 8px;margin-right:6px}"
)


@dataclass(frozen=True)
class Bar:
    """One operation: its thread, name, type, start and length in seconds."""

    thread: str
    name: str
    kind: str
    start: float
    length: float


def last_step(space: Any) -> tuple[float, float]:
    """Return start and end of the last traced step, seconds since the trace's clock began."""
    spans = [
        (start, start + event.duration_ps / 1e12)
        for _, plane, event, start in _events(space)
        if plane.event_metadata[event.metadata_id].name == xplane.STEP
    ]
    return max(spans, default=(0.0, float("inf")))


def bars(space: Any, start: float, end: float) -> list[Bar]:
    """Return the operations of a trace that begin between `start` and `end`."""
    found = []
    for thread, plane, event, begin in _events(space):
        name = plane.event_metadata[event.metadata_id].name
        kind = xplane.kind_of(name, plane)
        if kind is not None and start <= begin < end:
            found.append(Bar(thread, name, kind, begin - start, event.duration_ps / 1e12))
    return found


def _events(space: Any) -> Iterator[tuple[str, Any, Any, float]]:
    for plane in space.planes:
        for number, line in enumerate(plane.lines, start=1):
            thread = f"{plane.name.strip('/')} {number} {(line.display_name or line.name).partition('/')[0]}"
            for event in line.events:
                yield thread, plane, event, line.timestamp_ns / 1e9 + event.offset_ps / 1e12


def write(space: Any, path: Path) -> Path:
    """Write the page of the last traced step; returns `path`."""
    start, end = last_step(space)
    found = bars(space, start, end)
    seconds = max((bar.start + bar.length for bar in found), default=1e-9)
    path.write_text(page(found, seconds), encoding="utf-8")
    return path


def page(found: Sequence[Bar], seconds: float) -> str:
    """Return the page of the operations of one step of `seconds`."""
    threads, colours = list(dict.fromkeys(bar.thread for bar in found)), _colours(found)
    scale, height = (WIDTH - LEFT - 30) / seconds, TOP + ROW * len(threads)
    parts = list(_axis(seconds, scale, height))
    parts += [
        f'<text x="4" y="{TOP + ROW * k + 15}">{html.escape(name[:30])}</text>'
        for k, name in enumerate(threads)
    ]
    parts += [
        _rectangle(bar, threads.index(bar.thread), colours.get(bar.kind, OTHERS), scale)
        for bar in found
        if bar.length * scale >= LEAST
    ]
    legend = "".join(
        f'<span style="background:{colour}">{html.escape(kind)}</span>'
        for kind, colour in [*colours.items(), ("others", OTHERS)]
    )
    title = f"One traced step, {1000 * seconds:,.2f} ms; point at a bar for its name and time"
    return (
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style><h3>{title}</h3>'
        f'<p>{legend}</p><svg width="{WIDTH}" height="{height + 4}">{"".join(parts)}</svg>\n'
    )


def _colours(found: Sequence[Bar]) -> dict[str, str]:
    """Return a colour for each of the types that take longest."""
    totals: dict[str, float] = {}
    for bar in found:
        totals[bar.kind] = totals.get(bar.kind, 0.0) + bar.length
    largest = sorted(totals, key=lambda kind: -totals[kind])[:SHOWN]
    return dict(zip(largest, COLOURS))


def _axis(seconds: float, scale: float, height: int) -> Iterator[str]:
    """Yield lines and their times, at most ten, at 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(seconds / 10))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= seconds / 10)
    for k in range(int(seconds / step) + 1):
        x = LEFT + k * step * scale
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height}" stroke="#dddddd"/>'
        yield f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{1000 * k * step:g} ms</text>'


def _rectangle(bar: Bar, row: int, colour: str, scale: float) -> str:
    x, y, width = LEFT + bar.start * scale, TOP + ROW * row + 3, bar.length * scale
    words = html.escape(f"{bar.name}: {1000 * bar.length:.3f} ms")
    return (
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 6}" fill="{colour}">'
        f"<title>{words}</title></rect>"
    )
