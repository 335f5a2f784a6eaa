"""Who may have trials of a chief: workers that can read its store, and no other program of the machine.

Keras Tuner's protocol asks nobody who they are, and every user of a machine reaches its loopback address. So each
call carries a token, made from the key that lies in the store for the store's own user alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

HEADER = "workbench-token"


class RequireToken(grpc.ServerInterceptor):
    """Lets calls with the token through to the chief, and answers all others that they are not known."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._refusal = grpc.unary_unary_rpc_method_handler(_refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Return what handles a call."""
        found = [value for name, value in handler_call_details.invocation_metadata if name == HEADER]
        known = len(found) == 1 and hmac.compare_digest(str(found[0]).encode(), self._token)
        return continuation(handler_call_details) if known else self._refusal


def _refuse(request: Any, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token of the chief's store is missing or wrong")


class _Fields(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Call(_Fields, grpc.ClientCallDetails):
    """What gRPC asks of the description of a call."""


class SendToken(grpc.UnaryUnaryClientInterceptor):
    """Gives each call of a worker the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Hand on a call with the token among its metadata."""
        said = client_call_details
        metadata = [*(said.metadata or ()), (HEADER, self._token)]
        call = _Call(
            said.method, said.timeout, metadata, said.credentials, said.wait_for_ready, said.compression
        )
        return continuation(call, request)


def channel(address: str, token: str) -> grpc.Channel:
    """Return a channel to the chief at an address whose calls carry the token."""
    return grpc.intercept_channel(grpc.insecure_channel(address), SendToken(token))
