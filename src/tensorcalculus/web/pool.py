"""Worker processes: queries go to them one at a time, each is ended at its limit and replaced."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tensorcalculus.web.worker import END, READY

START_SECONDS = 60.0
"""A worker that is not ready by then will not be."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Busy(Exception):
    """All workers have work, and enough queries wait."""


class WorkersFail(OSError):
    """No worker can be started."""


@dataclass
class Reply:
    """The fields of an answer as JSON, and how the worker ended where it did."""

    fields: dict[str, bytes] = field(default_factory=dict)
    ended: str | None = None
    """"time" where it took too long, "crash" where the process ended by itself."""


@dataclass(frozen=True)
class Limits:
    """What the workers may take."""

    seconds: float = 5.0
    """For one query, from the moment a worker has it."""
    memory: int = 2**30
    """Bytes for one query, beyond what the program needs itself."""
    waiting: int = 256
    """Queries that wait for a worker; more are refused."""
    uses: int = 1000
    """Queries after which a worker is replaced, as tables of the library grow."""


class Worker:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.uses = 0
        self.retired = False

    @classmethod
    async def start(cls, limits: Limits) -> Worker:
        """A worker that is ready; WorkersFail where it ends before."""
        here = Path(__file__).parents[2]
        environment = {
            **os.environ,
            **dict.fromkeys(_THREADS, "1"),
            "PYTHONPATH": os.pathsep.join([str(here), *filter(None, sys.path)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # In a session of its own: Ctrl-C in the terminal is for the server, which ends its workers.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tensorcalculus.web.worker"),
            *(str(limits.memory), str(limits.seconds)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        worker = cls(process)
        try:
            ready = await asyncio.wait_for(worker.receive(), START_SECONDS)
        except (TimeoutError, asyncio.IncompleteReadError):
            ready = b""
        except asyncio.CancelledError:
            worker.kill()
            raise
        if ready != READY:
            worker.kill()
            raise WorkersFail("a worker process does not start; its errors stand above")
        return worker

    async def receive(self) -> bytes:
        """The next message."""
        assert self.process.stdout is not None
        size = int.from_bytes(await self.process.stdout.readexactly(4), "big")
        return await self.process.stdout.readexactly(size)

    async def converse(self, query: bytes, reply: Reply) -> None:
        """Put the fields of the answer to a query into ``reply`` as they come."""
        self.uses += 1
        assert self.process.stdin is not None
        self.process.stdin.write(len(query).to_bytes(4, "big") + query)
        await self.process.stdin.drain()
        while (message := await self.receive()) != END:
            name, _, value = message.partition(b" ")
            reply.fields[name.decode("ascii")] = value

    def kill(self) -> None:
        """End the process, whatever it does."""
        with suppress(ProcessLookupError):
            self.process.kill()


class Pool:
    """Workers, and the queries that wait for them."""

    def __init__(self, workers: int, limits: Limits) -> None:
        self.size = workers
        self.limits = limits
        self.workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._tasks: set[asyncio.Task] = set()
        self._closed = False

    async def open(self) -> None:
        """Start all workers; WorkersFail where they do not start."""
        added = await asyncio.gather(
            *(self._add() for _ in range(self.size)), return_exceptions=True
        )
        for error in filter(None, added):
            await self.close()
            raise error

    async def close(self) -> None:
        """End all workers and whoever waits for them."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        self._idle.clear()
        for waiting in self._waiting:
            waiting.cancel()
        for worker in self.workers:
            worker.kill()
        await asyncio.gather(*(w.process.wait() for w in self.workers), *self._tasks,
                             return_exceptions=True)  # fmt: skip
        self.workers.clear()

    async def ask(self, query: bytes) -> Reply:
        """The answer of a worker to a query, as far as it comes within the limit.

        Raises Busy where too many wait.  A cancelled call gives up its place, or ends its worker.
        """
        worker = await self._free()
        reply, whole = Reply(), False
        try:
            await asyncio.wait_for(worker.converse(query, reply), self.limits.seconds)
            whole = True
        except TimeoutError:
            reply.ended = "time"
        except (asyncio.IncompleteReadError, ConnectionError):
            reply.ended = "crash"
        finally:
            if whole:
                self._release(worker)
            else:
                self._lose(worker)
        return reply

    async def _free(self) -> Worker:
        """A worker without work, now or when one has done its own."""
        if self._closed:
            raise Busy
        if self._idle:
            return self._idle.pop()
        if len(self._waiting) >= self.limits.waiting:
            raise Busy
        turn: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if self._closed and turn.cancelled():
                raise Busy from None
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.done() and not turn.cancelled():
                self._release(turn.result())
            raise

    def _release(self, worker: Worker) -> None:
        """Give a worker to who waits longest."""
        if worker.retired:
            self._end(worker)
            return
        if worker.uses >= self.limits.uses:
            worker.uses = 0
            self._later(self._replace(worker))
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(worker)
                return
        self._idle.append(worker)

    def _lose(self, worker: Worker) -> None:
        """End a worker that is stuck or gone, and start another one."""
        self._end(worker)
        if not worker.retired:
            self._later(self._add_again())

    def _end(self, worker: Worker) -> None:
        worker.kill()
        self._later(self._reap(worker))

    async def _reap(self, worker: Worker) -> None:
        await worker.process.wait()
        self.workers.discard(worker)

    async def _add(self) -> None:
        """One more worker."""
        worker = await Worker.start(self.limits)
        self.workers.add(worker)
        self._release(worker)

    async def _add_again(self) -> None:
        """One more worker in place of another, tried until it starts."""
        while not self._closed:
            with suppress(WorkersFail, OSError):
                return await self._add()
            await asyncio.sleep(1.0)

    async def _replace(self, worker: Worker) -> None:
        """A new worker first, so that nobody waits, then the end of the old one."""
        await self._add_again()
        worker.retired = True
        if worker in self._idle:
            self._idle.remove(worker)
            self._end(worker)

    def _later(self, work) -> None:
        if self._closed:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
