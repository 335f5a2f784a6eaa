"""Sizes of every backbone at its own input size, measured; `workbench models --build` measures anew."""

from __future__ import annotations

# name: (parameters, multiply-adds, numbers that all layers put out, output shape), of one image
AT_112: dict[str, tuple[int, int, int, tuple[int, ...]]] = {}
