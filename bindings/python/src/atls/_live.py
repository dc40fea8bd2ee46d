"""The exchanges under way that one call ends."""

from __future__ import annotations

import weakref

from ._exchange import Exchange


class Live:
    """Exchanges, as long as somebody else has them.

    For any thread, and for a handler of a signal that interrupts any line here, so there is no lock. `end` sets the flag before it looks at the
    exchanges, and `add` looks at the flag after it put its own there: one of the two sees the other.
    """

    def __init__(self) -> None:
        self._over = False
        self._exchanges: weakref.WeakSet[Exchange] = weakref.WeakSet()

    def add(self, exchange: Exchange) -> bool:
        """False if `end` was called: then the caller ends the exchange itself."""
        self._exchanges.add(exchange)
        return not self._over

    def end(self) -> None:
        """Cancels all of them, now and later."""
        self._over = True
        for exchange in self._snapshot():
            exchange.cancel()

    def _snapshot(self) -> list[Exchange]:
        while True:
            try:
                return list(self._exchanges)
            except RuntimeError:  # another thread changed them meanwhile
                continue
