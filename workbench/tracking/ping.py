"""Does the store answer, and does it know us? Asked once before a training, so that a typo is no surprise later.

A server that goes away later costs nothing: training goes on, and the views are synced from the journal later.
"""

from __future__ import annotations

from workbench.errors import StoreError
from workbench.tracking import postgres
from workbench.tracking.credentials import credentials
from workbench.tracking.postgres import shown
from workbench.tracking.store import Store

# Asked once before a training: long enough for a busy server, short enough for a typo in the address.
SECONDS = 5.0


def require_reachable(store: Store) -> None:
    """Raise `StoreError` in one line unless the store's server answers and accepts us; local ones always do."""
    if store.is_local:
        return
    if store.uri.startswith("http"):
        # A search for one study, not a look at the page: only a request with a name and password says whether
        # it knows us.
        _ask_server(store.uri)
    elif store.uri.startswith("postgresql"):
        postgres.connect(store.uri).close()


def _ask_server(uri: str) -> None:
    import requests

    address = f"{uri}/api/2.0/mlflow/experiments/search"
    try:
        answer = requests.post(address, json={"max_results": 1}, timeout=SECONDS, auth=credentials())
    except requests.RequestException as error:
        # The library's own words hold addresses and object ids over three lines.
        reason = "no answer" if isinstance(error, requests.ConnectionError) else str(error)[:120]
        raise StoreError(
            f"the tracking server cannot be reached: {reason}",
            where=shown(uri),
            do="`workbench server` starts one",
        ) from error
    if answer.status_code in (401, 403):
        raise StoreError(
            "the tracking server refuses this user name or password",
            where=shown(uri),
            do="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    if not answer.ok:
        raise StoreError(
            f"answers {answer.status_code} {answer.reason}", where=shown(uri), expected="an MLflow server"
        )
