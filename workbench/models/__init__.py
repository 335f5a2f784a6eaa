"""Embedding models: backbones, embedding layers and heads, built from a spec or loaded from a file."""
