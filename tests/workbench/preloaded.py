"""What the server of `forked.py` imports before it forks: all that a run imports, and nothing that computes."""

import gc

import ready_schema

from workbench.lazy import tf
from workbench.tracking.mlflow_client import quiet_mlflow

quiet_mlflow()
import mlflow  # noqa: E402, F401

ready_schema.share()
tf.keras.layers.Dense  # noqa: B018 - Keras is loaded when one of its names is asked for
gc.collect()
gc.freeze()  # children look through what they make, and share the pages of what is here
