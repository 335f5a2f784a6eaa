"""Tables in a text that stay true: a marked block holds its query, and is written anew from the records.

In Markdown a block is

    <!-- table: STUDY_OR_RUN... --select agedb_30 -->
    ...
    <!-- /table -->

and in LaTeX the same with `% table: ...` and `% /table`. The query is what stands behind
`workbench table` on a command line.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import click

from analysis.commands.table_text import TableQuery, records_of, written
from workbench.errors import InputError, WorkbenchError
from workbench.files import write_whole

MARKDOWN = re.compile(r"(<!-- table:(?P<query>.*?)-->\n)(?P<body>.*?)(<!-- /table -->)", re.DOTALL)
LATEX = re.compile(r"(%[ ]*table:(?P<query>[^\n]*)\n)(?P<body>.*?)(%[ ]*/table)", re.DOTALL)


def renew(path: Path, table: click.Command, store: str | None, write: bool) -> int:
    """Write the blocks of `path` anew, or (not `write`) only tell which are no longer true.

    `table` is the command whose words a query holds, `store` where a query that names none looks.
    Returns the exit status: 1 where a block was false and not written. Raises `InputError` for a file
    without blocks and for a query that finds nothing, naming its line; then nothing is written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be read: {error}", where=path, expected="a Markdown or LaTeX file"
        ) from error
    latex = path.suffix == ".tex"
    blocks = list((LATEX if latex else MARKDOWN).finditer(text))
    if not blocks:
        mark = "% table: QUERY ... % /table" if latex else "<!-- table: QUERY --> ... <!-- /table -->"
        raise InputError("holds no marked table", where=path, expected=mark)
    result, end, false = "", 0, []
    for block in blocks:
        line = text.count("\n", 0, block.start()) + 1
        body = answer(table, block["query"], store, "latex" if latex else "markdown", f"{path}, line {line}")
        space = "" if latex else "\n"
        fresh = f"{space}{body}\n{space}"
        if fresh != block["body"]:
            false.append(line)
        result += text[end : block.start()] + block[1] + fresh + block[4]
        end = block.end()
    if write:
        write_whole(path, result + text[end:])
    return _tell(path, len(blocks), false, write)


def answer(table: click.Command, query: str, store: str | None, form: str, where: str) -> str:
    """Return the table that a query asks for; raises `InputError` with the block's place."""
    try:
        with table.make_context("table", shlex.split(query)) as context:  # which holds what `--lower` says
            query = TableQuery.of(context.params)
            query = replace(query, store=query.store or store, form=form)
            return _answer(query, context.params["published"])
    except click.ClickException as error:
        raise InputError(error.format_message(), where=where) from error
    except WorkbenchError as error:
        raise InputError(str(error), where=where) from error


def _answer(query: TableQuery, published: bool) -> str:
    from analysis.tables.conventions import convention_note

    if published:
        from analysis.commands.published import published_text

        return published_text(query)[0]
    records = records_of(query)
    text, note = written(records, query), convention_note(records)
    if note is None:
        return text
    return f"{text}\n% note: {note}" if query.form == "latex" else f"{text}\n\nNote: {note}."


def _tell(path: Path, count: int, false: list[int], write: bool) -> int:
    places = ", ".join(f"line {line}" for line in false)
    if write:
        click.echo(f"{path}: {count} tables, {len(false)} written anew" + (f" ({places})" if false else ""))
        return 0
    if false:
        click.echo(
            f"{path}: no longer true: {places}; `workbench table --update {path}` writes them anew", err=True
        )
        return 1
    click.echo(f"{path}: {count} tables, all true")
    return 0
