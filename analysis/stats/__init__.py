"""Statistics: tests of significance, confidence intervals, and the verdicts drawn from them."""
