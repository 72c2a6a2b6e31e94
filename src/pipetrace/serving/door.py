"""Who may come in: a browser on this machine that was given the token, and nobody else."""

from __future__ import annotations

import hmac
import re
import secrets
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.IGNORECASE)
_SAFE = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'"
_JSON = "application/json"


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


class Door:
    """Lets requests through that this machine's own browser sent to an address with the token.

    The token stands in the address and in no cookie: browsers send cookies of one port to every
    other port of the machine, and an address can be copied.

    Args:
        app: What is behind the door.
        token: What the address must carry.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            return
        refused = self._refused(scope, Headers(scope=scope))

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_SAFE)
                headers.setdefault("content-security-policy", _POLICY)
            await send(message)

        await (refused or self._app)(scope, receive, safely)

    def _refused(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        host, origin = headers.getlist("host"), headers.get("origin")
        if len(host) != 1 or not _HOST.fullmatch(host[0]):
            return _refuse("This server answers to 127.0.0.1 and localhost only.")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not hmac.compare_digest(given.encode(), self._token):
            return _refuse(
                "This address has no token, or that of another server. Open the address that "
                "pipetrace printed: http://127.0.0.1:PORT/?token=..."
            )
        posted = scope["method"] == "POST"
        if (posted or origin is not None) and origin != f"http://{host[0]}":
            return _refuse("Another page may not ask this server for anything.")
        if posted and headers.get("content-type", "").partition(";")[0].strip() != _JSON:
            return _refuse("What is posted here must be JSON.", 415)
        return None


def _refuse(reason: str, status: int = 403) -> PlainTextResponse:
    return PlainTextResponse(f"{reason}\n", status)
