"""Records of runs: the journal is the truth, MLflow and TensorBoard are views of it.

`records`, `journal` and `store` cost neither TensorFlow nor MLflow, so analysis reads them too.
"""
