"""`make docs`: write the generated lists in README.md and docs/ anew from the code.

A list stands between two markers, `<!-- list:NAME -->` and `<!-- /list -->`, and comes from the
classes, the table of commands, the spec files or the files of the project: nobody keeps it by hand.
With `--check` nothing is written; the lists that differ are named and the exit status is 1.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKED = re.compile(r"(<!-- list:([a-z.-]+) -->\n).*?(<!-- /list -->)", re.DOTALL)
FAMILIES = {
    "sources": "Source",
    "pairs": "PairSet",
    "augmentations": "Augmentation",
    "backbones": "Backbone",
    "embeddings": "Embedding",
    "heads": "Head",
    "losses": "Loss",
    "schedules": "Schedule",
    "weight-decays": "WeightDecay",
    "optimizers": "Optimizer",
    "samplers": "Sampler",
    "devices": "Devices",
    "operations": "Operation",
    "starts": "Start",
    "tuners": "Tuner",
    "domains": "Domain",
}
CHAPTERS = {  # the order in which a learner would read; a page that is not named here comes last
    "Begin": ("notebook", "studies", "install"),
    "Write": (
        "settings",
        "data",
        "losses",
        "backbones",
        "optimizers",
        "branches",
        "own_parts",
        "add_a_loss",
    ),
    "Run": ("commands", "records", "sweeps", "devices", "machines", "scale", "reproducing"),
    "Judge": (
        "analysis",
        "formats",
        "verification",
        "report",
        "forecast",
        "forecast_scores",
        "results",
        "headings",
    ),
}
PURPOSES = {  # what cannot say so itself, in the words of the map
    "CHANGELOG.md": "what changed, newest first",
    "CONTRIBUTING.md": "how to work on the project, and the style guide",
    "LICENSE": "terms of use",
    "Makefile": "every chore as one command; `make help` lists them",
    "README.md": "what it is, and where to begin",
    "constraints.txt": "the pinned versions, for Python 3.10 to 3.13",
    "pyproject.toml": "the package, its version ranges and extras, the settings of all tools",
    ".ci/": "what a change must pass before it lands",
    "analysis/": "comparison of runs: curves, tables, significance, forecasts",
    "docs/": "a chapter a topic; commands in it are tested, lists in it generated",
    "experiments/": "one spec file a study; docs/studies.md lists them",
    "mlruns/": "the records of your runs (ignored by git)",
    "tests/": "mirrors the packages; `rules/` keeps the house, `benchmarks/` and `acceptance/` run on demand",
    "workbench/": "the engine",
}


def part_classes() -> dict[str, type]:
    """Return every public part by name: the classes that the table `workbench.PARTS` names."""
    package = importlib.import_module("workbench")
    base = importlib.import_module("workbench.spec.part").Part
    values = {name: getattr(package, name) for name in package.PARTS}
    return {
        name: value for name, value in values.items() if isinstance(value, type) and issubclass(value, base)
    }


def members(family: str) -> list[type]:
    """Return the public parts of a family, by name."""
    public = part_classes().values()
    base = importlib.import_module("workbench.spec.part").REGISTRY.get(FAMILIES[family])
    found = [cls for cls in public if base is not None and issubclass(cls, base) and cls is not base]
    return sorted(found, key=lambda cls: cls.__name__)


def first_sentence(docstring: str | None) -> str:
    """Return the first sentence of a docstring on one line, without its full stop."""
    paragraph = " ".join((docstring or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.?])\s(?=[A-Z`])", paragraph)[0].rstrip(".")


def settings_of(cls: type) -> Iterator[tuple[str, str, str]]:
    """Yield (name, default, meaning) of each setting of a part."""
    describe = importlib.import_module("workbench.spec.part").describe
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        default = "required" if field.default is dataclasses.MISSING else f"`{_value(field.default)}`"
        meaning = field.metadata.get("doc") or describe(hints[field.name])
        yield field.name, default, meaning


def _value(value: object) -> str:
    return str(value) if dataclasses.is_dataclass(value) else repr(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table_of_members(family: str) -> str:
    """Return one row a member of the family: name, what it is, its settings with their defaults."""
    lines = ["| part | what it is | settings |", "| --- | --- | --- |"]
    for cls in members(family):
        settings = "; ".join(f"`{name}` ({default}): {doc}" for name, default, doc in settings_of(cls))
        lines.append(f"| `{cls.__name__}` | {_cell(first_sentence(cls.__doc__))} | {_cell(settings)} |")
    return "\n".join(lines)


def table_of_settings(name: str) -> str:
    """Return one row a setting of a single part (`Experiment`, `Stage`)."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    rows = settings_of(part_classes()[name])
    return "\n".join(lines + [f"| `{field}` | {default} | {_cell(doc)} |" for field, default, doc in rows])


def overview() -> str:
    """Return one row a family: its members, each to be imported from `workbench`."""
    lines = [
        "| family | parts |",
        "| --- | --- |",
        "| the spec itself | `Experiment`, `Stage`, `Trunk`, `Fold`, `Safety`, `Sweep` |",
    ]
    for family in FAMILIES:
        names = ", ".join(f"`{cls.__name__}`" for cls in members(family))
        if names:
            lines.append(f"| {family.replace('-', ' ')} | {names} |")
    return "\n".join(lines)


def commands() -> str:
    """Return one row a command of the program."""
    table = importlib.import_module("workbench.cli").COMMANDS
    lines = ["| command | what it does |", "| --- | --- |"]
    return "\n".join(lines + [f"| `workbench {name}` | {_cell(text)} |" for name, (_, text) in table.items()])


def experiments() -> str:
    """Return one row a spec file: the question in its first docstring line, and where its numbers stand."""
    numbers = {path.stem for path in (ROOT / "experiments" / "published").glob("*.json")}
    numbers |= set(json.loads((ROOT / "docs" / "results.json").read_text("utf-8")))
    lines = ["| study | its question | |", "| --- | --- | --- |"]
    for path in sorted((ROOT / "experiments").rglob("*.py")):
        name, question = path.stem, _cell(first_sentence(_docstring(path)))
        link = f"[numbers](results.md#{name})" if name in numbers else ""
        lines.append(f"| [{name}](../{path.relative_to(ROOT)}) | {question} | {link} |")
    return "\n".join(lines)


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def ordered_chapters() -> dict[str, list[Path]]:
    """Return the chapters of `docs/` by group, in a learner's order; those that no group names are last."""
    pages = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "README.md"}
    found = {group: [pages.pop(stem) for stem in stems if stem in pages] for group, stems in CHAPTERS.items()}
    return {**found, **({"More": list(pages.values())} if pages else {})}


def chapters(folder: Path) -> str:
    """Return one line a group of chapters, their titles linked as seen from `folder`."""
    return "\n".join(
        f"- **{group}**: " + ", ".join(f"[{_title(path)}]({os.path.relpath(path, folder)})" for path in pages)
        for group, pages in ordered_chapters().items()
    )


def networks() -> str:
    """Return one row a backbone with its sizes, as `workbench models` prints them."""
    models = importlib.import_module("workbench.commands.models")
    return str(models.table([models.row(name) for name in models.AT_112], models.BATCH))


def results() -> str:
    """Return the tables of what runs reached beside published numbers, from docs/results.json."""
    return str(importlib.import_module("analysis.tables.results").page(ROOT / "docs" / "results.json"))


def _title(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line[2:].strip() for line in lines if line.startswith("# ")), path.stem)


def file_map() -> str:
    """Return the map of files: top level, and what lies directly in `workbench/` and `analysis/`."""
    lines = ["```text"]
    for entry in _entries(ROOT):
        lines.append(_map_line("", entry))
        if entry.name in ("workbench", "analysis"):
            lines += [_map_line("  ", inner) for inner in _entries(entry)]
    return "\n".join([*lines, "```"])


def _entries(folder: Path) -> list[Path]:
    """Return what belongs to the project in a folder: folders with Python or text in them, then files."""
    tracked = {
        folder / Path(name).relative_to(folder.relative_to(ROOT)).parts[0] for name in _tracked(folder)
    }
    hidden = {ROOT / ".gitignore", folder / "py.typed"}
    return sorted(tracked - hidden, key=lambda path: (path.is_file(), path.name))


def _tracked(folder: Path) -> list[str]:
    from tracked import tracked_files  # beside this file

    prefix = "" if folder == ROOT else folder.relative_to(ROOT).as_posix() + "/"
    return [name for name in tracked_files(ROOT) if name.startswith(prefix)]


def _map_line(indent: str, path: Path) -> str:
    name = path.name + ("/" if path.is_dir() else "")
    if indent or path.suffix == ".py":
        source = path / "__init__.py" if path.is_dir() else path
        purpose = first_sentence(_docstring(source)) if source.is_file() else ""
    else:
        purpose = PURPOSES.get(name, "")
    return f"{indent + name:<24}{purpose}".rstrip()


def render(name: str, folder: Path = ROOT) -> str:
    """Return the text of the list called `name` for a page in `folder`; raise `KeyError` for a name that no list has."""
    import scale  # beside this file

    single: dict[str, Callable[[], str]] = {
        "parts": overview,
        "commands": commands,
        "experiments": experiments,
        "files": file_map,
        "chapters": lambda: chapters(folder),
        "networks": networks,
        "results": results,
        "scale": scale.table,
        "scale-parts": scale.parts,
        "scale-sums": scale.sums,
    }
    if name in single:
        return single[name]()
    if name in ("experiment", "stage", "safety", "sweep"):
        return table_of_settings(name.capitalize())
    if name in FAMILIES:
        return table_of_members(name)
    raise KeyError(name)


def renewed(path: Path) -> str:
    """Return the text of a Markdown file with all its lists as they should be."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[1]}{render(match[2], path.parent)}\n{match[3]}"

    return MARKED.sub(replace, path.read_text(encoding="utf-8"))


def pages() -> list[Path]:
    """Return the Markdown files whose lists are kept: README.md, CONTRIBUTING.md and the chapters."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main(check: bool) -> int:
    """Write (or, with `check`, compare) all lists; return the exit status."""
    stale = [path for path in pages() if renewed(path) != path.read_text(encoding="utf-8")]
    for path in stale:
        if not check:
            path.write_text(renewed(path), encoding="utf-8")
        print(
            f"{path.relative_to(ROOT)}: {'its lists differ from the code; run make docs' if check else 'written'}"
        )
    if not stale:
        print("all lists follow from the code")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main("--check" in sys.argv[1:]))
