"""Backbones: networks from a face image to feature maps. `registry.py` lists every one by name."""
