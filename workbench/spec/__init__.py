"""What a researcher writes: parts with settings, experiments, stages, branches, and how spec files are loaded.

Nothing in here imports TensorFlow, so specs are checked, compared and labelled in milliseconds.
"""
