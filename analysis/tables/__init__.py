"""Tables of runs: summaries, rendering, published numbers, and tables in documents that renew themselves."""
