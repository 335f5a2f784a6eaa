"""Looks at Python source that someone else wrote, kept with a record: nothing in it runs, and no form of it ends us."""

from __future__ import annotations

import ast

# The last two: a thousand minus signs are too deep a tree.
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def docstring(text: str) -> str:
    """Return the docstring of a module's source, empty where it has none or is no Python."""
    try:
        return ast.get_docstring(ast.parse(text)) or ""
    except UNPARSABLE:
        return ""
