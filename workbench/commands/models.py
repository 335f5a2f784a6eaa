"""`workbench models`: every backbone in one table, or the sizes of those named."""

from __future__ import annotations

import json
from typing import Any

import click

from workbench.commands.common_options import DEBUG, json_option
from workbench.models.backbones.registry import TABLE, backbone
from workbench.models.backbones.sizes import AT_112

BATCH = 128  # images for which activation memory is given


@click.command()
@click.argument("names", nargs=-1)
@click.option("--size", type=int, help="Input side in pixels; other sizes than a network's own are built.")
@click.option(
    "--batch", type=click.IntRange(1), default=BATCH, show_default=True, help="Images, for the memory."
)
@click.option("--build", is_flag=True, help="Build the networks instead of reading the table made before.")
@json_option("one JSON line a network")
@DEBUG
def models(names: tuple[str, ...], size: int | None, batch: int, build: bool, as_json: bool) -> None:
    """List all backbones, or those of the given NAMES (any name of keras.applications too), with their sizes."""
    for name in names:
        backbone(name)  # refuses unknown names before anything is built
    rows = [row(name, size, batch, build) for name in names or TABLE]
    if as_json:
        for one in rows:
            click.echo(json.dumps(one))
    else:
        click.echo(table(rows, batch))


def row(name: str, size: int | None = None, batch: int = BATCH, build: bool = False) -> dict[str, Any]:
    """Return the sizes of one backbone: built, or from the table `measured.py` at its own input size."""
    settings = {} if size is None else {"image_size": size}
    made = backbone(name, **settings)
    if build or size is not None or name not in AT_112:
        from workbench.models.backbones.count_ops import network, sizes

        found = sizes(network(made))
        numbers = (found.parameters, found.multiply_adds, found.activations, found.output)
    else:
        numbers = AT_112[name]
    parameters, multiply_adds, activations, output = numbers
    return {
        "name": name,
        "class": type(made).__name__,
        "input": made.image_size,
        "parameters": parameters,
        "multiply_adds": multiply_adds,
        "activation_bytes": activations * batch * 4,
        "output": list(output),
    }


def table(rows: list[dict[str, Any]], batch: int) -> str:
    """Return the sizes as a Markdown table."""
    from tabulate import tabulate

    head = [
        "name",
        "class",
        "input",
        "parameters",
        "multiply-adds, M",
        f"activations at {batch}, MiB",
        "output",
    ]
    body = [
        [
            one["name"],
            one["class"],
            one["input"],
            f"{one['parameters']:,}",
            f"{one['multiply_adds'] / 1e6:,.1f}",
            f"{one['activation_bytes'] / 2**20:,.0f}",
            " x ".join(str(n) for n in one["output"]),
        ]
        for one in rows
    ]
    aligned = ("left", "left", "right", "right", "right", "right", "left")
    return str(tabulate(body, head, "github", disable_numparse=True, colalign=aligned))
