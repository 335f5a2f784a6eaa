"""`python tests/benchmarks [TOPIC...]`: run the benchmarks, each in a process of its own, one table.

A benchmark that fails is named with the end of its error, and the rest still run; the exit status is
1 then. A target that is missed is shown as such and is not a failure: ratios depend on the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from paired import Ratio, Row, table

HERE = Path(__file__).resolve().parent
TIMEOUT = 1800  # seconds for one benchmark; beyond it, it hangs


def topics(wanted: list[str]) -> list[Path]:
    """Return the benchmark files, or those whose topic is among `wanted`."""
    files = sorted(HERE.glob("bench_*.py"))
    known = {path.stem.removeprefix("bench_"): path for path in files}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"error: no benchmark {', '.join(unknown)}; choose among {', '.join(known)}")
    return [known[name] for name in wanted] or files


def measure(path: Path) -> list[Row]:
    """Run one benchmark and return its rows; raise `RuntimeError` when it fails or hangs."""
    try:
        done = subprocess.run(
            [sys.executable, str(path), "--json"], capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"not done after {TIMEOUT} s") from error
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:].strip() or f"exit status {done.returncode}")
    return [_row(fields) for fields in json.loads(done.stdout.strip().splitlines()[-1])]


def _row(fields: dict) -> Row:
    figure = fields.pop("figure")
    return Row(figure=Ratio(*figure) if isinstance(figure, list) else figure, **fields)


def main(wanted: list[str]) -> int:
    """Run the wanted benchmarks (all, when none is named), print their table, return a status."""
    rows: list[Row] = []
    failed = 0
    for path in topics(wanted):
        print(f"{path.stem} ...", file=sys.stderr, flush=True)
        try:
            rows += measure(path)
        except (RuntimeError, ValueError, LookupError) as error:
            failed += 1
            print(f"error: {path.stem} failed: {error}", file=sys.stderr)
    print(table(rows))
    missed = sum(row.met is False for row in rows)
    print(f"\n{len(rows)} figures, {missed} targets missed, {failed} benchmarks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
