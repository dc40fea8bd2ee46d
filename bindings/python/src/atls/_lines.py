"""Lines of a body that arrives in pieces."""

from __future__ import annotations

import codecs
from collections.abc import Iterator


class Lines:
    """Splits UTF-8 at LF or CRLF. Holds the current line only."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun: list[str] = []

    def feed(self, piece: bytes) -> Iterator[str]:
        """The lines that end in this piece."""
        first, *rest = self._decoder.decode(piece).split("\n")
        for following in rest:
            yield "".join([*self._begun, first]).removesuffix("\r")
            self._begun, first = [], following
        if first:
            self._begun.append(first)

    def end(self) -> Iterator[str]:
        """The last line, if it has no end."""
        last = "".join([*self._begun, self._decoder.decode(b"", True)])
        if last:
            yield last
