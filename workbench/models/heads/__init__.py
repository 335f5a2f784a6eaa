"""Classification heads: from embeddings to the logits that a loss reads, each one part.

`full` holds the heads that compute every identity, `partial_fc` the one that draws a share of them,
`matmul` their matrix products with hand-written gradients, `layers` the Keras layer that holds a
head's weights, `subcenter_cleanup` what follows a training with sub-centers.
"""
