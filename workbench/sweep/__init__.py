"""Sweeps: Keras Tuner over any field of a spec, where every trial is an ordinary run."""
