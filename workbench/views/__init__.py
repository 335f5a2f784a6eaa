"""MLflow and TensorBoard as views of the journals: written behind the training, synced, and rebuilt.

Views need `workbench.tracking`, never the other way: a tracker is handed the views that it keeps in sync.
"""

from __future__ import annotations

from workbench.tracking.store import Store
from workbench.tracking.sync_thread import View


def default_views(store: Store) -> list[View]:
    """Return the views of a run: TensorBoard first, because it is quick and local."""
    # Imported here, because whoever lists or syncs runs does not need both.
    from workbench.views.mlflow import MlflowView
    from workbench.views.tensorboard import TensorBoardView

    return [TensorBoardView(store), MlflowView(store)]
