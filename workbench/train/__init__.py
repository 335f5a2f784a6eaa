"""Training: the runner, its one training step, checkpoints, evaluation and what happens at the ends of epochs."""
