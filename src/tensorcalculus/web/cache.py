"""Answers that were given before, the least recently used forgotten first."""

from __future__ import annotations

from collections import OrderedDict


class AnswerCache:
    """Bytes by bytes, of at most ``capacity`` bytes together."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.held = 0
        self._entries: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> tuple[int, bytes] | None:
        """The status and the body of the answer to a query, if it is known."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, status: int, body: bytes) -> None:
        """Remember an answer, unless it takes more than an eighth of the room."""
        if len(key) + len(body) > self.capacity // 8:
            return
        self._forget(key)
        self._entries[key] = (status, body)
        self.held += len(key) + len(body)
        while self.held > self.capacity:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: bytes) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self.held -= len(key) + len(found[1])
