"""A polled queue of events."""

from __future__ import annotations

from typing import Any, Callable

from ._exchange import EVENT_SIZE, EVENTS
from ._native import call, create, ffi, lib


class Queue:
    """Hands out each event and releases it, whatever the receiver does with it."""

    def __init__(self) -> None:
        self.handle = create("atls_queue", lib.atls_queue_free, lib.atls_queue_new_polled)
        #: Readable while events wait. Belongs to the queue.
        self.fd: int = lib.atls_queue_fd(self.handle)
        self._events = ffi.new("atls_event[]", EVENTS)
        self._count = ffi.new("size_t *")

    def drain(self, receive: Callable[[Any], None]) -> int:
        """Hands the events that wait to `receive`, at most EVENTS of them; returns how many there were."""
        self._count[0] = 0
        try:
            call(lib.atls_queue_next, self.handle, self._events, EVENT_SIZE, EVENTS, self._count)
            for index in range(self._count[0]):
                receive(self._events[index])
        finally:
            for index in range(self._count[0]):
                lib.atls_event_release(ffi.addressof(self._events, index))
        return int(self._count[0])
