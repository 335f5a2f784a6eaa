"""What MLflow's server asks for each request: who it is, and whether it names a place of files that is not its to name.

Whoever may make an experiment may say where its artifacts lie, and the server then reads and writes there as its own
user: `file:///etc` or another bucket. So only the server's own place of artifacts is let through. MLflow imports this
by its name in the server's settings (`authorization_function`).
"""

from __future__ import annotations

import json
from typing import Any

FUNCTION = f"{__name__}:authorize"
CREATE = "/mlflow/experiments/create"
FIELDS = ("artifact_location", "artifactLocation")  # MLflow reads both spellings
OWN = "mlflow-artifacts:"


def authorize() -> Any:
    """Return who asks by name and password (Flask's `Authorization`), or the response that refuses the request."""
    from mlflow.server import auth

    who, request = auth.authenticate_request_basic_auth(), auth.request
    # `silent`: a body that is no JSON names no place, and MLflow itself answers it.
    if request.path.rstrip("/").endswith(CREATE) and not is_own(request.get_json(force=True, silent=True)):
        words = "artifacts lie where this server keeps them: leave artifact_location out"
        return auth.make_response({"error_code": "INVALID_PARAMETER_VALUE", "message": words}, 400)
    return who


def is_own(body: Any) -> bool:
    """Tell whether the body of a request names no place of artifacts but the server's own."""
    if isinstance(body, str):  # a JSON text within JSON, as MLflow's older clients send it
        try:
            body = json.loads(body)
        except ValueError:
            return False
    # Both spellings, for a request may give one to us and the other to MLflow.
    given = [body[name] for name in FIELDS if body.get(name)] if isinstance(body, dict) else []
    return all(isinstance(place, str) and place.startswith(OWN) and ".." not in place for place in given)
