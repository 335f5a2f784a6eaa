"""A study as one page: question, differences, curves, tables, verdicts, costs, links to its runs.

`study` gathers what is known, `sections` says it in blocks, `pictures` draws, `markdown` and `html` write
the same blocks twice. What is shown in full of three runs is shown of three hundred in its ends, its spread
and one folded table.
"""
