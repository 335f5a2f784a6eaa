"""Figures of runs: curves split at stages, axes of losses, and pictures of sweeps."""
