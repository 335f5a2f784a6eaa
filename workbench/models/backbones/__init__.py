"""Backbones: networks from a face image to feature maps. `table.py` lists every one by name."""
