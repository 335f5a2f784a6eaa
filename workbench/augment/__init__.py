"""Random changes of training images: pure functions of the image and its seed, composed by a tuple."""
