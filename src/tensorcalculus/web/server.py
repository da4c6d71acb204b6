"""The server: a socket, and uvicorn with limits of its own for slow and many clients."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorcalculus.errors import InputError

if TYPE_CHECKING:
    import asyncio

    from starlette.applications import Starlette
    from uvicorn import Config, Server

CONNECTIONS = 1000
"""Open at one time; more are answered with 503."""
IDLE_SECONDS = 15
"""For which a connection is kept between two requests."""
REQUEST_SECONDS = 15.0
"""From the first byte of a request, or from the connection, to its last byte."""
HEADER_BYTES = 16_384
_BACKLOG = 512


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int | None = None,
    time_limit: float = 5.0,
    *,
    announce: Callable[[str], Any],
    browser: bool = False,
) -> None:
    """Serve the page until the process is interrupted.

    Parameters
    ----------
    host, port
        The address to listen at; port 0 takes one that is free.
    workers
        How many processes derive; by default one a core, at least 2 and at most 4.
    time_limit
        Seconds that one request may take.
    announce
        Is told the address when the server is ready, and what listening there means.
    browser
        Whether to open the page in the browser of the user.

    Raises
    ------
    InputError
        Where the address is in use or is none of this machine.
    ImportError
        Where the packages of the extra ``web`` are missing.
    KeyboardInterrupt
        After Ctrl-C, when everything has ended.
    """
    try:
        import latex2mathml  # noqa: F401
        import uvicorn  # noqa: F401

        from tensorcalculus.web.app import application
        from tensorcalculus.web.guard import is_loopback
        from tensorcalculus.web.pool import Limits, WorkersFail
    except ModuleNotFoundError as error:
        raise ImportError(
            f'serve needs {error.name}, which is not installed: pip install "tensorcalculus[web]"'
        ) from None
    listener = _listener(host, port)
    named = f"[{host}]" if ":" in host else host
    address = f"http://{named}:{listener.getsockname()[1]}/"

    def ready() -> None:
        announce(f"tcalc serves {address} (Ctrl-C ends it)")
        if not is_loopback(host):
            announce(
                f"warning: {host} is not this machine alone: whoever reaches this address can use "
                "the page, without a password, and what is sent is not encrypted"
            )
        if browser:
            import webbrowser

            webbrowser.open(address)

    count = workers or min(max(os.cpu_count() or 2, 2), 4)
    app = application(host, count, Limits(seconds=time_limit))
    try:
        server = _server(app, ready)
        server.run(sockets=[listener])
    finally:
        listener.close()
    if not server.started:
        raise WorkersFail("the server has not started: its worker processes do not start")


def _listener(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address; InputError where it cannot be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise InputError(f"--host {host!r} is no address of this machine") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} of {host} is in use; choose another one by --port, or 0 for any"
            ) from None
        raise InputError(f"cannot listen at {host}, port {port}: {error.strerror}") from None
    return listener


def _server(app: Starlette, ready: Callable[[], None]) -> Server:
    """A uvicorn server that tells when it is ready, and ends the workers before all else."""
    import uvicorn

    class Told(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Who waits for an answer gets one at once, so that nobody waits for the end.
            await app.state.pool.close()
            await super().shutdown(sockets)

    config: Config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_protocol(),
        ws="none",
        lifespan="on",
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        backlog=_BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    return Told(config)


def _protocol() -> type:
    """uvicorn's HTTP by h11, with a time in which a request must have come."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Punctual(H11Protocol):
        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.late = self.loop.call_later(REQUEST_SECONDS, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
                self.stop_clock()
            elif self.late is None:
                self.late = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self.stop_clock()
            super().connection_lost(exc)

        def stop_clock(self) -> None:
            if self.late is not None:
                self.late.cancel()
                self.late = None

    return Punctual
