"""A served page under load and abuse: nothing is lost, nothing breaks, memory stays."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import REPOSITORY
from test_examples import load

pytest.importorskip("uvicorn", reason="the extra `web` is not installed")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(REPOSITORY / "benchmarks" / "serve.py", monkeypatch)


@pytest.fixture
def served(bench: Any) -> Iterator[Any]:
    server = bench.Served("--time-limit", "2", "--workers", "2")
    yield server
    if server.process.poll() is None:
        server.process.kill()
    server.process.wait(10)
    server.process.stdout.close()


def ask(bench: Any, port: int, formula: str) -> tuple[int, Any]:
    async def once() -> tuple[int, Any]:
        connection = bench.Connection(port)
        status, _, body = await connection.send(
            bench.request(json.dumps({"formula": formula}).encode())
        )
        await connection.close()
        return status, json.loads(body)

    return asyncio.run(once())


def gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_request_over_http_and_ctrl_c(bench: Any, served: Any) -> None:
    status, answer = ask(bench, served.port, "norm2(X*w-y)^2")
    assert status == 200 and answer["derivative"]["text"] == "2*(X*w-y)*w'"
    workers = served.workers()
    assert len(workers) == 2
    # Also while a worker is busy, and a client waits for it.
    body = json.dumps({"formula": "tr(A^300)", "wrt": "A", "order": 3}).encode()
    with socket.create_connection(("127.0.0.1", served.port)) as waiting:
        waiting.sendall(bench.request(body))
        time.sleep(0.3)
        assert served.stop() < 5
        waiting.settimeout(5)
        assert waiting.recv(100).split()[1] in (b"503", b"429")
    assert served.process.returncode == 130
    assert all(map(gone, workers))


def test_workers_end_with_a_server_that_is_killed(served: Any) -> None:
    workers = served.workers()
    served.process.send_signal(signal.SIGKILL)
    served.process.wait(10)
    end = time.monotonic() + 10
    while not all(map(gone, workers)):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_port_in_use_and_an_address_elsewhere(served: Any) -> None:
    command = [sys.executable, "-m", "tensorcalculus.cli", "serve"]
    used = subprocess.run([*command, "--port", str(served.port)], capture_output=True, text=True)
    assert used.returncode == 2 and f"port {served.port}" in used.stderr and "--port" in used.stderr
    away = subprocess.run([*command, "--host", "192.0.2.1"], capture_output=True, text=True)
    assert away.returncode == 2 and "192.0.2.1" in away.stderr and "Traceback" not in away.stderr


@pytest.mark.slow
def test_load_and_abuse(bench: Any, served: Any) -> None:
    asyncio.run(bench.load(served.port, 4, 25, bench.new))
    start = served.memory()
    load = asyncio.run(bench.load(served.port, 200, 5, lambda k: bench.new(10**6 + k)))
    print("load:", load)
    assert load.lost == [] and dict(load.statuses) == {200: 1000}
    abuse = asyncio.run(bench.abuse(served.port, 10_000))
    print("abuse:", abuse)
    assert abuse.lost == [] and sum(abuse.statuses.values()) == 10_000
    # No fault, no ended worker but for what takes too long, every kind of refusal.
    assert 500 not in abuse.statuses and 502 not in abuse.statuses
    assert {400, 404, 405, 415, 422} <= set(abuse.statuses)
    status, answer = ask(bench, served.port, "x'*A*x + 12345")
    assert status == 200 and answer["derivative"]["shape"] == ["m"]
    print("memory:", start / 2**20, "MiB, then", served.memory() / 2**20)
    assert served.memory() < start + 300 * 2**20
    assert served.stop() < 5


@pytest.mark.slow
def test_slow_clients_are_given_up(bench: Any, served: Any) -> None:
    whole = bench.request(b'{"formula": "x"}')
    for part in (b"", b"POST /api/derive HTT", whole[:-3]):
        with socket.create_connection(("127.0.0.1", served.port)) as slow:
            slow.sendall(part)
            slow.settimeout(30)
            begun = time.monotonic()
            answer = slow.recv(1000)
            assert time.monotonic() - begun < 20
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
    assert ask(bench, served.port, "x")[0] == 200
