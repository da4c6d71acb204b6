"""The application: the page, its files, and derivatives by way of the workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tensorcalculus.web import guard
from tensorcalculus.web.cache import AnswerCache
from tensorcalculus.web.examples import EXAMPLES
from tensorcalculus.web.pool import Busy, Limits, Pool, Reply
from tensorcalculus.web.query import Query, QueryError, limit_record, read_query
from tensorcalculus.web.worker import ERROR

STATIC = Path(__file__).parent / "static"
CACHE_BYTES = 32 * 2**20
GRACE_SECONDS = 1.0
"""What a query may still take when nobody waits for it any more: its answer may be asked again."""
GONE = 499
"""The status of an answer that nobody reads."""
_STATUS = {guard.TooLarge: 413, guard.TooSlow: 408, guard.WrongType: 415}


def application(
    host: str = "127.0.0.1", workers: int = 2, limits: Limits | None = None
) -> Starlette:
    """The ASGI application, whose workers start and end with it.

    Parameters
    ----------
    host
        The address that it is served on: requests for other hosts are refused.
    workers
        How many processes answer.
    limits
        What a query may take.
    """
    pool = Pool(workers, limits or Limits())
    cache = AnswerCache(CACHE_BYTES)
    asked = _Asked(pool)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await pool.open()
        try:
            yield
        finally:
            await pool.close()

    async def derive(request: Request) -> Response:
        try:
            query = read_query(await guard.read_body(request))
        except ClientDisconnect:
            return Response(status_code=GONE)
        except QueryError as error:
            record = limit_record(str(error), "RequestError")
            return _json(_STATUS.get(type(error), 400), {"error": {**record, "field": error.field}})
        key = query.as_json()
        known = cache.get(key)
        if known is None:
            try:
                reply = await asked.while_wanted(request, key)
            except ClientDisconnect:
                return Response(status_code=GONE)
            except Busy:
                answer = refused(429, "the server has enough to do; ask again in a second", "Busy")
                answer.headers["retry-after"] = "1"
                return answer
            status, body = _body(query, reply, pool.limits.seconds)
            if status in (200, 422) and reply.ended is None:
                cache.put(key, status, body)
            known = status, body
        return Response(known[1], known[0], media_type="application/json")

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def examples(request: Request) -> Response:
        return _json(200, [asdict(example) for example in EXAMPLES])

    async def functions(request: Request) -> Response:
        from tensorcalculus.notation import catalogue

        return _json(200, [entry.as_record() for entry in catalogue.entries()])

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/api/derive", derive, methods=["POST"]),
            Route("/api/examples", examples),
            Route("/api/functions", functions),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(guard.Guard, host=host)],
        exception_handlers={HTTPException: _http_error, 500: _fault},
        lifespan=lifespan,
    )
    app.state.pool = pool
    app.state.cache = cache
    return app


class _Asked:
    """Queries that are being answered, each asked once however many want the answer."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.replies: dict[bytes, asyncio.Task[Reply]] = {}
        self.wanted: dict[bytes, int] = {}

    async def while_wanted(self, request: Request, key: bytes) -> Reply:
        """The reply of the pool, given up when all clients that want it have gone.

        Work gets a moment then, as who types on goes away with every letter: most answers come
        within it and are remembered, and a new worker costs more than they do.
        """
        reply = self.replies.get(key)
        if reply is None:
            reply = self.replies[key] = asyncio.ensure_future(self.pool.ask(key))
            reply.add_done_callback(lambda done: self._end(key, done))
        self.wanted[key] = self.wanted.get(key, 0) + 1
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({reply, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                await asyncio.wait({reply}, timeout=GRACE_SECONDS)
            if not reply.done():
                raise ClientDisconnect
            return reply.result()
        finally:
            gone.cancel()
            self.wanted[key] -= 1
            if not self.wanted[key]:
                del self.wanted[key]
                reply.cancel()
                self._end(key, reply)

    def _end(self, key: bytes, reply: asyncio.Task[Reply]) -> None:
        if self.replies.get(key) is reply:
            del self.replies[key]
        if reply.done() and not reply.cancelled():
            reply.exception()  # known, should nobody be there to hear of it


async def _gone(request: Request) -> None:
    """Until the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _body(query: Query, reply: Reply, seconds: float) -> tuple[int, bytes]:
    """The status and the body of an answer, put together from the fields of a reply.

    Where some parts were made before the worker ended, they are an answer.
    """
    fields = dict(reply.fields)
    status, error = 200, None
    if ERROR in fields:
        told = json.loads(fields.pop(ERROR))
        status, error = told["status"], told["error"]
    elif reply.ended == "time":
        message = f"it takes longer than the {seconds:g} seconds that a request may take"
        status, error = 504, limit_record(message)
    elif reply.ended is not None:
        message = "the process that worked on it has ended; it may have needed too much memory"
        status, error = 503, limit_record(message)
    if error is None:
        return status, _joined(fields)
    if not any(part in fields for part in query.parts):
        return status, _dumped({"error": error})
    missing = {part: _dumped({"error": error}) for part in query.parts if part not in fields}
    return 200, _joined({**fields, **missing})


def _joined(fields: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%s":%s' % (n.encode("ascii"), v) for n, v in fields.items()) + b"}"


def _dumped(record: Any) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode("ascii")


def _json(status: int, record: Any) -> Response:
    return Response(_dumped(record), status, media_type="application/json")


def refused(status: int, message: str, kind: str = "RequestError") -> Response:
    """An answer that is an error of the server or of the request, not of the formula."""
    return _json(status, {"error": limit_record(message, kind)})


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = refused(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _fault(request: Request, error: Exception) -> Response:
    return refused(500, "the server has met a fault of its own", "Fault")
