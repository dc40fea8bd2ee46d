"""Header fields of a response."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class Headers(Mapping[str, str]):
    """In the order and case in which they were sent; found in any case. A name that came several times has its values joined by commas."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        #: Every field by itself.
        self.fields: tuple[tuple[str, str], ...] = tuple(fields)

    def get_list(self, name: str) -> list[str]:
        """The values of all fields with this name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        values = self.get_list(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __contains__(self, name: Any) -> bool:
        return isinstance(name, str) and bool(self.get_list(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.lower() for key, _ in self.fields))

    def __len__(self) -> int:
        return len({key.lower() for key, _ in self.fields})

    def __repr__(self) -> str:
        return f"Headers({self.fields!r})"
