"""What a training step costs, part by part, and what several devices add to it."""
