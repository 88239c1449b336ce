"""Guards every response and request: nothing is loaded from elsewhere, and other web pages cannot use a reader's link.

Responses say nothing of the time or of the server. Requests must name a host that this server answers for, and what
changes something must come from its own page.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Not no-referrer: on plain http a form would then be sent with the origin null, and refused.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
MOST_BYTES = 16 * 1024
"""Largest body of a request."""


class TooLarge(Exception):
    """Reports a request body of more than MOST_BYTES."""


class Guard:
    """Adds HEADERS to every response and refuses requests for hosts that are not ours (DNS rebinding).

    A host that is written as an IP address cannot be rebound and is always accepted.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app if self._ours(Headers(scope=scope).get("host", "")) else wrong_host
        await app(scope, receive, guarded)

    def _ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self._hosts
        return True


async def wrong_host(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for a name that the server was not started for."""
    words = "this server does not answer for that name; start it with --names NAME if it should"
    await JSONResponse({"error": words}, 421)(scope, receive, send)


def same_origin(request: Request) -> bool:
    """Return whether a request comes from a page of this server.

    Browsers say so in Sec-Fetch-Site, on plain http only in Origin; a request with neither is refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site:
        return site == "same-origin"
    return request.headers.get("origin") == f"{request.url.scheme}://{request.headers.get('host', '')}"


async def body_of(request: Request) -> bytes:
    """Read a request's body; raise TooLarge as soon as it is larger than MOST_BYTES."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLarge
    return body


def refusal(words: str, code: int, **values: Any) -> JSONResponse:
    """Return an answer that says why a request is refused, in words that the page can show."""
    return JSONResponse({"error": words, **values}, code)
