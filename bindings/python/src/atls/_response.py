"""What both kinds of response have."""

from __future__ import annotations

from ._exchange import Exchange
from .errors import InvalidState
from .headers import Headers
from .verdict import Verdict


class ResponseHead:
    """A response whose head has come from a server that satisfied the policy."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def status(self) -> int:
        """The status code."""
        return self._exchange.status

    @property
    def reason(self) -> str:
        """The reason phrase as it was sent."""
        return self._exchange.reason

    @property
    def headers(self) -> Headers:
        return self._exchange.headers

    @property
    def trailers(self) -> Headers:
        """Fields after the body, once it was read to its end."""
        return self._exchange.trailers

    @property
    def verdict(self) -> Verdict:
        """The verdict on the server that held when the request was sent."""
        if self._exchange.verdict is None:
            raise InvalidState("no response has come")
        return self._exchange.verdict

    @property
    def url(self) -> str:
        """Where the response came from, after redirects."""
        return self._exchange.url

    def cancel(self) -> None:
        """Ends the exchange at once: whoever waits for it gets `Canceled`."""
        self._exchange.cancel()

    def close(self) -> None:
        """Lets go of the response. Unless it was read to its end, its connection is closed."""
        self._exchange.close()

    def __repr__(self) -> str:
        return f"<atls.{type(self).__name__} {self.status}>"
