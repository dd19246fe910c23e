"""Refusals of the API: every one is JSON of one shape, whoever refuses."""

import json
from collections.abc import Mapping

from aiohttp import web

from chain.errors import BadSignature, DecodeError, InvalidTransaction, NeuroError, NotEnoughFunds
from node.errors import NodeError

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Else any site could learn that a node runs here by taking one of the explorer's scripts.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# What the status of an answer is called, where nobody has said it more exactly.
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "refused",
    429: "too_many_requests",
    500: "internal",
    503: "busy",
}
# Why a transaction was refused, by the error of the ledger.
LEDGER_CODES: dict[type[NeuroError], tuple[int, str]] = {
    DecodeError: (400, "not_decodable"),
    BadSignature: (422, "bad_signature"),
    NotEnoughFunds: (422, "not_enough_funds"),
    InvalidTransaction: (422, "invalid_transaction"),
}


class Refusal(NodeError):
    """An answer with an error status. `faults` says what is wrong with each field that was sent."""

    def __init__(self, status: int, message: str, code: str | None = None, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or CODES.get(status, "refused")
        self.more = more

    @property
    def headers(self) -> Mapping[str, str]:
        wait = self.more.get("retry_after_seconds")
        told = {} if wait is None else {"Retry-After": str(wait)}
        return told | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def of_ledger(error: NeuroError) -> Refusal:
    """The refusal that tells an error of the ledger to the one who caused it."""
    known = (LEDGER_CODES[kind] for kind in type(error).__mro__ if kind in LEDGER_CODES)
    status, code = next(known, (422, "refused"))
    return Refusal(status, str(error), code)


def answer_of(refusal: Refusal, headers: Mapping[str, str] | None = None) -> web.Response:
    """The one shape of an error."""
    content = {"error": {"code": refusal.code, "message": str(refusal), **refusal.more}}
    return web.Response(
        status=refusal.status,
        body=json.dumps(content).encode(),
        content_type="application/json",
        headers={**HEADERS, **refusal.headers, **(headers or {})},
    )


def of_http(error: web.HTTPException) -> web.Response:
    """What aiohttp refuses by itself, in our shape."""
    if error.status == 405:
        allowed = error.headers.get("Allow", "")
        return answer_of(Refusal(405, f"this path allows {allowed}"), {"Allow": allowed})
    messages = {404: "there is no such path: see /openapi.json", 413: "the body is too large"}
    return answer_of(Refusal(error.status, messages.get(error.status, error.reason)))
