"""What the server of `forked.py` imports before it forks: all that a run imports, and nothing that computes.

What is missing here costs each of a hundred children its import again: MLflow's tables alone a second and a half.
"""

import gc
import importlib

import ready_schema
import sqlalchemy.orm

from workbench.lazy import tf
from workbench.security import masking
from workbench.tracking.mlflow_client import quiet_mlflow

quiet_mlflow()
OF_A_RUN = (
    "alembic.command",
    "detect_secrets.core.scan",
    "mlflow.store.db_migrations",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.system_metrics.system_metrics_monitor",
    "safetensors.numpy",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "tensorboard.plugins.hparams.metadata",
    "tensorflow.python.data.ops.flat_map_op",
    "tensorflow.python.data.ops.zip_op",
    "workbench.augment.flip",
    "workbench.cli",
    "workbench.commands.run",
    "workbench.losses.layers",
    "workbench.models.embeddings",
    "workbench.models.heads.layers",
    "workbench.models.load_keras",
    "workbench.security.outputs",
    "workbench.train.callbacks",
    "workbench.train.logged_model",
    "workbench.train.runner",
    "workbench.train.trainer",
    "workbench.verification.evaluator",
    "workbench.views.mlflow",
    "workbench.views.tensorboard",
)
for _name in OF_A_RUN:
    importlib.import_module(_name)
sqlalchemy.orm.configure_mappers()
masking.mask("a text")  # the first one finds the detectors
ready_schema.share()
tf.keras.layers.Dense  # noqa: B018 - Keras is loaded when one of its names is asked for
gc.set_threshold(50_000, 20, 20)  # as in the process of the tests itself
gc.collect()
gc.freeze()  # children look through what they make, and share the pages of what is here
