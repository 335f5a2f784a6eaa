"""Losses, each one part: its settings and its maths, with formula, citation, shapes and units.

`softmax` and `margin` read the logits of a classification head, `metric` reads the embeddings of a
batch, `distill` a teacher's vectors. `crossentropy` is their common softmax with a hand-written
gradient, `angles` the functions of an angle, `layers` the Keras layer that holds a loss's state.
"""
