"""A worker process: it answers queries that come over a pipe, within limits of its own.

It is a program, `python -m tensorcalculus.web.worker`.  A message is its length in four bytes,
then its bytes.  The server sends queries as JSON.  A worker sends `ready` when it has loaded what
it needs; to a query the fields of the answer, each as its name, a space and JSON; then `end`.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

READY, END = b"ready", b"end"
ERROR = "error"
"""The field that a query without an answer gets: {"status": …, "error": …}."""
_WARM_UP = {"formula": "norm2(X*w-y)^2+log(sum(exp(X*w)))", "wrt": "w", "order": 2}


def write_message(pipe: BinaryIO, message: bytes) -> None:
    """Send one message."""
    pipe.write(len(message).to_bytes(4, "big") + message)
    pipe.flush()


def read_message(pipe: BinaryIO) -> bytes | None:
    """The next message; None where the other side has gone."""
    head = pipe.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "big")
    message = pipe.read(size)
    return message if len(message) == size else None


def main(memory: int, seconds: float) -> None:
    """Answer queries until the pipe is closed.

    ``memory`` bytes, beyond what is in use after the start, may be allocated; a query may take
    ``seconds`` of the processor before the system ends the process.
    """
    queries, answers = _pipes()
    _warm_up()
    limit_memory(memory)
    write_message(answers, READY)
    while (message := read_message(queries)) is not None:
        limit_time(seconds)
        for name, value in _fields(message):
            text = json.dumps(value, separators=(",", ":"))
            write_message(answers, f"{name} {text}".encode("ascii"))
        write_message(answers, END)
        # Nodes refer to what was made of them: such circles wait for the collector.
        gc.collect()


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, taken away from whatever else might read or print."""
    queries, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return queries, answers


def _warm_up() -> None:
    """Load and run all that an answer may need."""
    from tensorcalculus.web.query import PARTS

    for _ in _fields(json.dumps({**_WARM_UP, "parts": PARTS}).encode("ascii")):
        pass
    gc.collect()
    gc.freeze()


def _fields(message: bytes) -> Iterator[tuple[str, Any]]:
    """The fields of the answer to a query, whatever happens."""
    from tensorcalculus.web.answers import answer, failure
    from tensorcalculus.web.query import read_query

    try:
        yield from answer(read_query(message))
    except Exception as error:
        status, told = failure(error)
        yield ERROR, {"status": status, "error": told}


def limit_memory(memory: int) -> None:
    """Let the process allocate so many bytes more than it holds, where the system can see to it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/status") as file:
            status = dict(line.split(":", 1) for line in file)
        held = int(status["VmData"].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (held + memory, held + memory))
        # A process that is ended leaves no image of itself behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_time(seconds: float) -> None:
    """End the process after so many more seconds of the processor, should the server not do it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 2, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
