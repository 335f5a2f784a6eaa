"""What MLflow's server asks for each request: who it is, and whether it names a place of files that is not its to name.

Whoever may make an experiment may say where its artifacts lie, and the server then reads and writes there as its own
user: `file:///etc` or another bucket. A tag of a trace and the source of a model's version do the same. So only the
server's own place of artifacts is let through. MLflow's assistant runs programs as the server's user: it is closed.
MLflow imports this by its name in the server's settings (`authorization_function`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

FUNCTION = f"{__name__}:authorize"
FIELDS = ("artifact_location", "artifactLocation")  # MLflow reads both spellings
# Where the server looks for a trace's data.
TAGS = ("mlflow.artifactLocation", "mlflow.trace.archiveLocation")
VERSIONS = "/mlflow/model-versions/create"
OWN = "mlflow-artifacts"
SOURCES = (OWN, "runs", "models", "none")  # of a version of a model; `none:/` fills a gap of numbers
PROMPTS = ("dummy-source", "prompt-template")  # what MLflow's clients say of a prompt, which has no files
ASSISTANT = "/mlflow/assistant"
# Whose bodies are files, of any size, read by who takes them.
FILES = ("/mlflow-artifacts/", "/upload-artifact")


def authorize() -> Any:
    """Return who asks by name and password (Flask's `Authorization`), or the response that refuses the request."""
    from mlflow.server import auth

    who, request = auth.authenticate_request_basic_auth(), auth.request
    if ASSISTANT in request.path:
        return _refused(
            auth, "PERMISSION_DENIED", "this server lends nobody its machine for an assistant", 403
        )
    # `silent`: a body that is not JSON names no place, and MLflow itself answers it.
    bare = request.method in ("GET", "HEAD") or any(part in request.path for part in FILES)
    body = None if bare else request.get_json(force=True, silent=True)
    if not is_own(body, version=VERSIONS in request.path):
        words = "artifacts lie where this server keeps them: leave their location out"
        return _refused(auth, "INVALID_PARAMETER_VALUE", words, 400)
    return who


def _refused(auth: Any, code: str, words: str, status: int) -> Any:
    return auth.make_response({"error_code": code, "message": words}, status)


def is_own(body: Any, version: bool = False) -> bool:
    """Tell whether the body of a request names no place of artifacts but the server's own.

    With `version` it is that of a version of a registered model, whose `source` is a place as well.
    """
    if isinstance(body, str):  # a JSON text within JSON, as MLflow's older clients send it
        try:
            body = json.loads(body)
        except ValueError:
            return False
    if not all(_is_within(place, (OWN,)) for place in _places(body)):
        return False
    source = body.get("source") if version and isinstance(body, dict) else None
    return not source or source in PROMPTS or _is_within(source, SOURCES)


def _places(body: Any) -> Iterator[Any]:
    """Yield every place of artifacts that a body names: its own fields, and tags however deep."""
    todo = [body]
    if isinstance(body, dict):
        yield from (body[name] for name in FIELDS if body.get(name))
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            yield from (item[name] for name in TAGS if item.get(name))
            if item.get("key") in TAGS:
                yield item.get("value")
        todo += item.values() if isinstance(item, dict) else item if isinstance(item, list) else []


def _is_within(place: Any, schemes: tuple[str, ...]) -> bool:
    """Tell whether a place has one of the schemes, names no host, and does not lead upwards however it is written."""
    if not isinstance(place, str):
        return False
    while (plain := unquote(place)) != place:
        place = plain
    try:
        parts = urlsplit(place)
    except ValueError:
        return False
    return parts.scheme in schemes and not parts.netloc and ".." not in place and "\\" not in place
