"""What every answer carries and every request must: headers, names of hosts, sizes, a type."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from tensorcalculus.diagrams.svg import style
from tensorcalculus.web.query import QueryError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 16_384
"""Bytes of a request."""
BODY_SECONDS = 10.0
"""A request whose bytes have not come by then is given up."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_DRAWN = b64encode(sha256(style().encode()).digest()).decode()
"""The style element of drawings is allowed by what it says, and no other one."""
HEADERS = {
    # All that the page loads comes from here; nobody may frame it or send its forms elsewhere.
    "content-security-policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{_DRAWN}'; "
        "img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",
}


class TooLarge(QueryError):
    """A body of more bytes than are read."""


class TooSlow(QueryError):
    """A body that does not come."""


class WrongType(QueryError):
    """A body that does not say that it is JSON."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, seen from itself alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests for other hosts, and adds the headers to every answer.

    A page elsewhere whose name is made to lead to this machine (DNS rebinding) still sends its own
    name: only names of the address that the server is bound to are served.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self.host = host.lower()
        self.names = {*_LOOPBACK, self.host}
        if not is_loopback(host):
            self.names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                added = {k.encode(): v.encode() for k, v in HEADERS.items()}
                message["headers"] = [
                    *message["headers"],
                    *((k, v) for k, v in added.items() if k not in known),
                ]
            await send(message)

        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) == 1 and self.serves(given[0].decode("latin-1")):
            await self.app(scope, receive, with_headers)
        else:
            from tensorcalculus.web.app import refused

            answer = refused(400, "this server is not asked by that name of a host", "HostError")
            await answer(scope, receive, with_headers)

    def serves(self, header: str) -> bool:
        """Whether the value of a Host header, with or without a port, names this server."""
        name = _host_of(header)
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # A number is no name that somebody else could lead here.
        return address.is_loopback or not is_loopback(self.host)


def _host_of(header: str) -> str:
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    name, _, port = header.rpartition(":")
    return name if name and port.isdecimal() else header


async def read_body(request: Request) -> bytes:
    """The body of a request for JSON.  Raises WrongType, TooLarge or TooSlow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # A form of another site cannot say so without asking first, which is refused.
        raise WrongType("the content type of a request is application/json")
    told = request.headers.get("content-length", "0")
    if not told.isdecimal() or int(told[:20]) > MAX_BODY:
        raise TooLarge(f"a request has at most {MAX_BODY} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise TooLarge(f"a request has at most {MAX_BODY} bytes")
    except TimeoutError:
        raise TooSlow(f"the request did not come within {BODY_SECONDS:g} seconds") from None
    return bytes(body)
