"""README and the chapters tell the truth: map, lists, commands with their options, links."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import lists
import pytest
from prose import BLOCK, commands_of_block, documented_commands, pages
from source import ROOT, nothing, shown

from workbench.cli import COMMANDS, program


def test_the_lists_follow_from_the_code():
    stale = [shown(path) for path in lists.pages() if lists.renewed(path) != path.read_text(encoding="utf-8")]
    nothing(stale, "run `make docs`")


def test_the_map_of_files_has_every_file_and_tells_what_it_is_for():
    lines = lists.file_map().splitlines()[1:-1]
    result = {line.split()[0].rstrip("/") for line in lines}
    expected = {
        path.name for folder in ("", "workbench", "analysis") for path in lists._entries(ROOT / folder)
    }
    assert result == expected
    assert lists.file_map() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    nothing(
        (line for line in lines if len(line.split()) < 2),
        "say what it is for: in its docstring or in lists.PURPOSES",
    )


def test_a_list_that_differs_is_renewed(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- list:commands -->\nwhat it was before\n<!-- /list -->\nafter\n")
    text = lists.renewed(page)
    assert "what it was before" not in text
    assert "`workbench run`" in text
    assert text.startswith("before\n<!-- list:commands -->\n")
    assert text.endswith("<!-- /list -->\nafter\n")
    page.write_text("<!-- list:nonsense -->\n<!-- /list -->\n")
    with pytest.raises(KeyError):
        lists.renewed(page)


def test_every_part_and_every_command_stands_in_a_list():
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages())
    nothing((name for name in lists.part_classes() if f"`{name}`" not in text), "no page lists it")
    nothing((name for name in COMMANDS if f"`workbench {name}`" not in text), "no page lists the command")


def problems(words: list[str]) -> str | None:
    """Return what is wrong with a documented command, or None."""
    return make_problems(words[1:]) if words[0] == "make" else program_problems(words[1:])


def make_problems(words: list[str]) -> str | None:
    """Return the first target that the Makefile has not, or None."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    variables = set(re.findall(r"\b([A-Z]+)\b", makefile))
    for word in words:
        known = variables if "=" in word else targets
        if word.split("=")[0] not in known and re.match(r"\w", word):
            return f"no target or variable {word!r}"
    return None


def program_problems(words: list[str]) -> str | None:
    """Return the first command or option that the program has not, or None."""
    command: click.Command = program
    context = click.Context(program, info_name="workbench")
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        inner = command.get_command(context, rest[0])
        if inner is None:
            return f"no command {rest[0]!r}"
        command, context = inner, click.Context(inner, info_name=rest[0], parent=context)
        rest = rest[1:]
    known = {
        name
        for parameter in command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    known |= {"--help", "-h", "--debug"}
    for word in rest:
        option = word.split("=")[0]
        if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in known:
            return f"no option {option!r}"
    return None


def test_documented_commands_exist_with_their_options():
    found = [(place, words, problems(words)) for place, words in documented_commands()]
    assert found, "no page shows a command: the search is broken"
    nothing(
        (f"{place}: {' '.join(words)}: {wrong}" for place, words, wrong in found if wrong), "a page shows it"
    )


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["make", "demo", "EXTRAS=gpu"], None),
        (["make", "dmeo"], "no target or variable 'dmeo'"),
        (["workbench", "--help"], None),
        (["workbench", "rnu"], "no command 'rnu'"),
        (["workbench", "run", "x.py", "--nonsense"], "no option '--nonsense'"),
    ],
    ids=str,
)
def test_the_search_finds_a_wrong_command(words: list[str], wrong: str | None):
    assert problems(words) == wrong


def test_readme_leads_a_newcomer():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    typed = commands_of_block()
    assert typed[:2] == ["make demo", "make test"], "the two commands come first"
    assert text.index("```console") < 800, "one sentence, then the two commands"
    assert len(text.encode()) <= 10_000, "what belongs into a chapter?"
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for status in ("0", "1", "2", "75", "130"):
        assert re.search(rf"^\| {status} \|", text, re.MULTILINE), f"exit status {status}"


def test_example_specs_in_pages_are_specs(tmp_path: Path):
    """Every Python block that makes an experiment is loaded as a spec file, beside those of `experiments/`."""
    from workbench.spec.load import load_variants

    for sibling in (ROOT / "experiments").glob("*.py"):
        shutil.copy(sibling, tmp_path)
    found = 0
    for path in pages():
        for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
            if block[1] == "python" and re.search(r"^experiments? = ", block[2], re.MULTILINE):
                found += 1
                spec = tmp_path / f"page_{found}.py"
                spec.write_text(block[2], encoding="utf-8")
                load_variants(spec)
    assert found


def test_links_between_pages_lead_somewhere():
    broken = []
    for path in pages():
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{shown(path)}: {target}")
    nothing(broken, "a link leads nowhere")


def test_every_chapter_has_its_place_in_the_order():
    assert "More" not in lists.ordered_chapters(), "name it in lists.CHAPTERS"


def test_the_change_that_a_page_shows_applies(root: Path):
    """The diff of "Add a loss in ten minutes" fits the code as it is."""
    text = (ROOT / "docs" / "add_a_loss.md").read_text(encoding="utf-8")
    (diff,) = [block[2] for block in BLOCK.finditer(text) if block[1] == "diff"]
    done = subprocess.run(
        ["git", "apply", "--check", "-"], input=diff, text=True, capture_output=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
