"""`make site`: the chapters as a searchable site in build/site, which also opens from a folder without a network.

Pages link to files of the project (specs, the change log), which a site does not hold; so each such file becomes a
page of its own, and links are changed to lead there. A link that leads nowhere fails the build.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))
import lists

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")
WORKER = "assets/iframe-worker.js"
PAGES = {
    "README.md": "index.md",
    "docs/README.md": "chapters.md",
}  # where a page stands that has another name there


def place_of(path: Path) -> Path:
    """Return where a file of the project stands in the site's source: `docs/` is its root, code becomes a page."""
    name = path.relative_to(ROOT).as_posix()
    name = PAGES.get(name, name.removeprefix("docs/"))
    return Path(f"{name}.md" if path.suffix in (".py", ".json", ".toml") else name)


def linked(path: Path) -> list[Path]:
    """Return the files of the project that a page links to."""
    targets = [match[2] for match in LINK.finditer(path.read_text(encoding="utf-8")) if "://" not in match[2]]
    return [(path.parent / target).resolve() for target in targets]


def page_of(path: Path) -> str:
    """Return a file as a page: Markdown with its links changed, code in a block."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md":
        language = {"py": "python"}.get(path.suffix[1:], path.suffix[1:])
        return f"# {path.relative_to(ROOT)}\n\n```{language}\n{text}```\n"

    def changed(match: re.Match[str]) -> str:
        if "://" in match[2]:
            return match[0]
        target = (path.parent / match[2]).resolve()
        if target.is_dir():
            return match[2]
        place = os.path.relpath(place_of(target), place_of(path).parent)
        return f"{match[1]}{place}{match[3] or ''}{match[4]}"

    return LINK.sub(changed, text)


def write_source(folder: Path) -> None:
    """Write all pages to `folder`: README, chapters, and whatever they link to."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / WORKER).parent.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("iframe-worker.js"), folder / WORKER)
    todo, done = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], set()
    while todo:
        path = todo.pop()
        if path in done or path.is_dir():
            continue
        done.add(path)
        target = folder / place_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".md", ".py", ".json", ".toml"):
            target.write_text(page_of(path), encoding="utf-8")
            todo += linked(path) if path.suffix == ".md" else []
        else:
            shutil.copy(path, target)


def configuration(source: Path, target: Path) -> dict[str, object]:
    """Return the settings of MkDocs: the chapters in a learner's order, search, no address that needs a network."""
    chapters = [
        {group: [str(place_of(page)) for page in pages]} for group, pages in lists.ordered_chapters().items()
    ]
    return {
        "site_name": "workbench",
        "docs_dir": str(source),
        "site_dir": str(target),
        "use_directory_urls": False,  # so that links work from a folder
        # Fonts of the reader's machine: the theme would fetch its own from a server.
        "theme": {
            "name": "material",
            "font": False,
            "features": ["navigation.sections", "content.code.copy"],
        },
        "plugins": ["search", "offline"],
        "extra": {"polyfills": [WORKER]},  # the theme would load its own from a server
        "markdown_extensions": ["tables", "toc", "attr_list", "md_in_html", "pymdownx.superfences"],
        "nav": [{"workbench": "index.md"}, *chapters],
        "validation": {"omitted_files": "ignore", "links": {"not_found": "warn", "anchors": "warn"}},
        "strict": True,
    }


def main() -> int:
    """Build the site and return the exit status."""
    from mkdocs.__main__ import cli

    source, target = ROOT / "build" / "site-source", ROOT / "build" / "site"
    write_source(source)
    settings = ROOT / "build" / "mkdocs.yml"
    settings.write_text(yaml.safe_dump(configuration(source, target), sort_keys=False), encoding="utf-8")
    cli(["build", "--quiet", "--config-file", str(settings)], standalone_mode=False)
    print(f"{target / 'index.html'}: open it in a browser")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
