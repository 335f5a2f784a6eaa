"""Export: a trained model in the formats of other runtimes, each loaded back and compared.

`formats` writes, `compare` loads back and measures.
"""
