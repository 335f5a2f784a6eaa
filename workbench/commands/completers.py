"""What a shell is offered for an argument: specs and their variants, runs and studies of the store, parts.

Asked at every press of the tab key, so only names are read: the first line of each journal, and spec files as
text trees, never as code. A store that cannot be read offers nothing, and nothing is said in the middle of a line.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from workbench.errors import WorkbenchError
from workbench.names import SWEEP, TAG_KIND
from workbench.security.safe_source import UNPARSABLE
from workbench.tracking.journal import first_start
from workbench.tracking.removed_runs import removed
from workbench.tracking.runs import LAST
from workbench.tracking.store import Store, find_store

SPECS = "experiments"
Find = Callable[[Store, click.Context, str], Iterable[str]]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offered(*finds: Find, files: bool = False) -> Complete:
    """Return a completion of what `finds` give, and of files where those are possible too."""

    def complete(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
        found: list[CompletionItem] = [CompletionItem(word, type="file")] if files else []
        with contextlib.suppress(WorkbenchError, OSError):
            store = find_store(context.params.get("store"))
            every = itertools.chain.from_iterable(find(store, context, word) for find in finds)
            found += [CompletionItem(name) for name in dict.fromkeys(every) if name.startswith(word)]
        return found

    return complete


def titles(store: Store, study: str | None = None) -> Iterator[str]:
    """Yield what people call the runs of a store (of a study), the newest first."""
    for run in reversed(store.runs()):
        start = first_start(store.journal(run))
        if start is not None and study in (None, start.study) and start.tags.get(TAG_KIND) != SWEEP:
            yield start.title


def _runs(store: Store, context: click.Context, word: str) -> Iterator[str]:
    yield LAST
    if word[:1].isdigit():  # the name that a record was given, which nobody remembers
        yield from reversed(store.runs())
    yield from titles(store)


def _studies(store: Store, context: click.Context, word: str) -> Iterator[str]:
    yield from (name.partition("/")[0] for name in titles(store))


def _specs(store: Store, context: click.Context, word: str) -> Iterator[str]:
    """Yield spec files, and after one the names that its text gives to variants."""
    for given in context.params.get("files") or ():
        if str(given).endswith(".py") and Path(given).is_file():
            yield from _names_in(Path(given))
            yield from (name.rpartition(":")[0].partition("/")[2] for name in titles(store, Path(given).stem))
    folder = Path(word).parent if "/" in word else Path(SPECS)
    yield from sorted(str(path) for path in folder.glob("*.py") if path.name != "__init__.py")


def _names_in(path: Path) -> Iterator[str]:
    with contextlib.suppress(OSError, *UNPARSABLE):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "name" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def _removed(store: Store, context: click.Context, word: str) -> Iterator[str]:
    for run in removed(store):
        yield run.title
        yield run.run


def _losses(store: Store, context: click.Context, word: str) -> Iterator[str]:
    from workbench import PARTS

    yield from sorted(name for name, module in PARTS.items() if module.startswith("workbench.losses"))


runs = _offered(_runs)
models = _offered(_runs, files=True)
studies = _offered(_studies)
runs_or_studies = _offered(_studies, _runs)
records = _offered(_studies, _runs, files=True)
specs = _offered(_specs, files=True)
removed_runs = _offered(_removed)
losses = _offered(_losses)
