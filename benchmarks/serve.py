"""`tcalc serve` under load and under abuse: 200 clients at once, 10 000 malformed requests.

    python benchmarks/serve.py [--clients 200] [--requests 10] [--malformed 10000]

Clients ask over loopback, each on a connection of its own.  Every request has to be answered; where
the server says 429, the client asks again after the time told, and the wait counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parents[1] / "src"
PATIENCE = 60.0
"""Seconds after which a request counts as lost."""
FORMULAS = (
    "norm2(X*w-y)^2", "sum(log(1+exp(-y.*(X*w))))", "x'*S*x", "logdet(S)+x'*inv(S)*x",
    "tanh(A*x+b)", "-y'*log_softmax(W*x)", "norm2(T-U*V')^2", "sum(svdvals(X))", "det(X)",
    "norm2(conv(x,k)-y)^2", 'einsum("ia,ajb,bk->ijk",A,B,C)', "tr(A*B*inv(C))",
)  # fmt: skip
WORDS = (
    "*", "'", "(", ")", ".*", "+", "^", "^2", ",", "[0]", "exp(", "where", "einsum(", '"', "1e9",
    "<b>", "\\", "\0", "≤",
)  # fmt: skip


@dataclass
class Tally:
    """What came of requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    """By status; 0 where the server closed a connection whose request was no HTTP."""
    seconds: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    """Answers 429, after which the same was asked again."""

    def quantile(self, q: float) -> float:
        """Milliseconds within which this part of the requests was answered."""
        known = sorted(self.seconds)
        return 1000 * known[min(int(q * len(known)), len(known) - 1)]

    def __str__(self) -> str:
        told = ", ".join(f"{n} x {status}" for status, n in sorted(self.statuses.items()))
        p50, p95, p99 = (self.quantile(q) for q in (0.5, 0.95, 0.99))
        return (
            f"{len(self.seconds)} answers ({told}), {self.refused} refused at first, "
            f"{len(self.lost)} lost; p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"
        )


class Served:
    """A process of `tcalc serve` on a free port."""

    def __init__(self, *options: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(SOURCES), *filter(None, sys.path)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tensorcalculus.cli", "serve", "--port", "0", *options],
            stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)/", line)
        if found is None:
            raise RuntimeError(f"the server has not started: {line!r}")
        self.port = int(found[1])

    def memory(self) -> int:
        """Bytes in use by the server and its workers together."""
        total = 0
        for pid in [self.process.pid, *self.workers()]:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            found = re.search(r"VmRSS:\s+(\d+)", status)
            total += 1024 * int(found[1]) if found else 0
        return total

    def workers(self) -> list[int]:
        """The processes that the server has started."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(word) for word in children.read_text().split()] if children.exists() else []

    def stop(self) -> float:
        """End it as Ctrl-C does; the seconds that it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        return time.monotonic() - begun


class Connection:
    """HTTP over one socket, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def send(self, data: bytes, last: bool = False) -> tuple[int, dict[str, str], bytes]:
        """The answer to some bytes; the status is 0 where the connection was closed instead."""
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.reader, self.writer
        try:
            writer.write(data)
            await writer.drain()
            if last:
                writer.write_eof()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
            if "content-length" in headers:
                body = await reader.readexactly(int(headers["content-length"]))
            else:
                body = await reader.read()
                headers["connection"] = "close"
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.close()
            return 0, {}, b""
        if last or headers.get("connection") == "close":
            await self.close()
        return int(lines[0].split()[1]), headers, body

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            with suppress(ConnectionError):
                await self.writer.wait_closed()
        self.reader = self.writer = None


def request(
    body: bytes,
    method: str = "POST",
    path: str = "/api/derive",
    kind: str = "application/json",
) -> bytes:
    """A request as bytes."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answered(connection: Connection, data: bytes, tally: Tally, last: bool = False) -> None:
    """One request, asked again while the server is busy."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            for attempt in range(100):
                status, headers, body = await connection.send(data, last)
                if status == 0 and not last and attempt == 0:
                    continue  # a connection that was idle may be closed while one asks
                if status != 429:
                    break
                tally.refused += 1
                await asyncio.sleep(float(headers["retry-after"]))
    except (TimeoutError, OSError) as error:
        tally.lost.append(f"{type(error).__name__}: {data[:200]!r}")
        await connection.close()
        return
    if status == 0 and not last:
        tally.lost.append(f"closed: {data[:200]!r}")
        return
    if status >= 400 and headers["content-type"] == "application/json":
        assert json.loads(body)["error"]["message"]
    tally.statuses[status] += 1
    tally.seconds.append(time.monotonic() - begun)


async def load(port: int, clients: int, requests: int, formula: Callable[[int], str]) -> Tally:
    """Clients that ask one request after the other, all of them at the same time."""
    tally = Tally()

    async def one(client: int) -> None:
        connection = Connection(port)
        for k in range(requests):
            asked = {"formula": formula(client * requests + k), "parts": ["derivative"]}
            await answered(connection, request(json.dumps(asked).encode()), tally)
        await connection.close()

    await asyncio.gather(*(one(k) for k in range(clients)))
    return tally


async def abuse(port: int, count: int, connections: int = 50, seed: int = 0) -> Tally:
    """Malformed requests of all kinds, over some connections at a time."""
    tally, pending = Tally(), malformed(count, seed)

    async def one() -> None:
        connection = Connection(port)
        for data, last in pending:
            await answered(connection, data, tally, last)
        await connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return tally


def malformed(count: int, seed: int) -> Iterator[tuple[bytes, bool]]:
    """Requests that no page sends, and whether the connection ends with them."""
    rng = random.Random(seed)
    kinds = (_mutated, _mutated, _mutated, _mutated, _random_text, _wrong_types, _random_bytes,
             _other_requests, _broken_http)  # fmt: skip
    for k in range(count):
        made = kinds[k % len(kinds)](rng)
        yield made if isinstance(made, tuple) else (made, False)


def _asked(**fields: Any) -> bytes:
    return request(json.dumps(fields).encode())


def _mutated(rng: random.Random) -> bytes:
    letters = list(rng.choice(FORMULAS))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(letters) + 1)
        what = rng.random()
        if what < 0.4:
            del letters[place : place + rng.randint(1, 3)]
        elif what < 0.8:
            letters[place:place] = rng.choice(WORDS)
        else:
            start = rng.randrange(len(letters) + 1)
            letters[place:place] = letters[start : start + rng.randint(1, 8)]
    names = rng.choice([{}, {"X": "m n"}, {"w": "3"}, {"S": "n n spd"}, {"x": "m m m"}])
    wrt = rng.choice([None, "w", "X", "x", "q", ["x", "w"]])
    return _asked(formula="".join(letters), declarations=names, wrt=wrt, order=rng.randint(0, 2))


def _random_text(rng: random.Random) -> bytes:
    ranges = ((32, 127), (0, 0xD7FF), (0x10000, 0x10FFFF))
    points = [rng.randrange(*rng.choice(ranges)) for _ in range(rng.randint(0, 200))]
    return _asked(formula="".join(map(chr, points)), parts=["derivative", "code"])


def _wrong_types(rng: random.Random) -> bytes:
    values: list[Any] = [
        None,
        True,
        -1,
        1e308,
        "",
        "x",
        [],
        [[]],
        {},
        {"x": {}},
        [None],
        "n" * 3000,
    ]
    fields: dict[str, Any] = {"formula": "x'*x"}
    names = ("formula", "declarations", "wrt", "order", "symmetry", "parts", "__class__")
    for name in rng.sample(names, rng.randint(1, 3)):
        fields[name] = rng.choice(values)
    return _asked(**fields)


def _random_bytes(rng: random.Random) -> bytes:
    return request(rng.randbytes(rng.randint(0, 2000)))


def _other_requests(rng: random.Random) -> bytes:
    body = b'{"formula": "x"}'
    return rng.choice([
        request(body, method=rng.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])),
        request(b"", method="GET", path="/static/" + "../" * rng.randint(1, 9) + "etc/passwd"),
        request(b"", method="GET", path="/static/%00" + "%2e%2e%2f" * rng.randint(1, 9)),
        request(body, kind=rng.choice(["text/plain", "application/x-www-form-urlencoded", ""])),
        request(body).replace(b"127.0.0.1", b"evil.example"),
        request(b"[" * rng.randint(1, 16_000)),
        request(json.dumps({"formula": "(" * rng.randint(1, 15_000)}).encode()),
    ])  # fmt: skip


def _broken_http(rng: random.Random) -> tuple[bytes, bool]:
    whole = request(b'{"formula": "x\'*x"}')
    return rng.choice([
        whole[: rng.randrange(1, len(whole))],
        rng.randbytes(rng.randint(1, 300)) + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /api/derive HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/derive HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/derive HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]), True  # fmt: skip


def new(k: int) -> str:
    """A formula that nobody has asked before."""
    return f"{k + 2}*({FORMULAS[k % 4]})"


def known(k: int) -> str:
    """One of a few formulas."""
    return FORMULAS[k % len(FORMULAS)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--malformed", type=int, default=10_000)
    given = parser.parse_args()
    served = Served("--time-limit", "2")
    start = served.memory()
    runs = {
        "new formulas, one client": load(served.port, 1, 200, lambda k: new(10**6 + k)),
        "new formulas": load(served.port, given.clients, given.requests, new),
        "known formulas": load(served.port, given.clients, given.requests, known),
        "malformed": abuse(served.port, given.malformed),
    }
    for title, run in runs.items():
        begun = time.monotonic()
        tally = asyncio.run(run)
        spent = time.monotonic() - begun
        print(f"{title}: {tally}; {len(tally.seconds) / spent:.0f} answers a second")
        for lost in tally.lost[:5]:
            print(f"  lost: {lost}")
    mega = 2**20
    print(
        f"memory: {start / mega:.0f} MiB at the start, {served.memory() / mega:.0f} MiB at the end"
    )
    print(f"ended in {served.stop():.2f} s after Ctrl-C")


if __name__ == "__main__":
    main()
