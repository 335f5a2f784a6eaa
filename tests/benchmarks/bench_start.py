"""How long a person waits before the program says anything: help, and a list of a hundred runs."""

from __future__ import annotations

from paired import Row, compare, main, process

ROOT_HELP = process("python", "-m", "workbench", "--help")
BARE_CLICK = process("python", "-c", "import click")


def rows() -> list[Row]:
    """Measure whole processes against a bare import of click."""
    return [
        Row(
            "workbench --help / python -c 'import click'",
            compare(ROOT_HELP, BARE_CLICK, repeats=15),
            at_most=3.0,
        )
    ]


if __name__ == "__main__":
    main(rows)
