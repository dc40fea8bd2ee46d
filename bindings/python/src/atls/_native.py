"""The boundary to the C library: the carried libatls.so, calls that turn a status into an exception, text and bytes. Nothing else imports cffi."""

from __future__ import annotations

import os
from typing import Any

from ._cffi import ffi as ffi  # generated from atls.h when the package is built

CARRIED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libatls.so.0.1")
# Always the carried one: a library of the same name elsewhere is another one.
lib: Any = ffi.dlopen(CARRIED)

FOREVER = 0xFFFFFFFF
UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF


def call(function: Any, *arguments: Any) -> None:
    """Calls with a place for the error as the last argument; raises the exception that belongs to the status."""
    error = ffi.new("atls_error **")
    status = function(*arguments, error)
    if status != 0:
        from .errors import from_native

        raise from_native(status, own(error[0], lib.atls_error_free))


def own(handle: Any, free: Any) -> Any:
    """The handle, freed with the object; None for NULL."""
    return None if handle == ffi.NULL else ffi.gc(handle, free)


def create(kind: str, free: Any, function: Any, *arguments: Any) -> Any:
    """For calls whose last argument before the error is the new handle."""
    out = ffi.new(kind + " **")
    call(function, *arguments, out)
    return own(out[0], free)


def text(value: Any) -> str:
    """An atls_str as text."""
    return str(ffi.buffer(value.ptr, value.len)[:], "utf-8", "replace")


def raw(value: Any) -> bytes:
    """An atls_str as bytes."""
    return bytes(ffi.buffer(value.ptr, value.len)[:])


def content(buffer: Any) -> bytes:
    """The bytes of an atls_buf."""
    return bytes(ffi.buffer(lib.atls_buf_data(buffer), lib.atls_buf_len(buffer))[:])


def made(function: Any, *arguments: Any) -> bytes:
    """For calls that make an atls_buf."""
    return content(create("atls_buf", lib.atls_buf_free, function, *arguments))


def name(value: str, what: str) -> bytes:
    """A string as the library takes it: NUL-terminated, so it may not contain one."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    encoded = value.encode()
    if b"\0" in encoded:
        raise ValueError(f"{what} contains a NUL: {value!r}")
    return encoded


def optional_name(value: str | None, what: str) -> Any:
    return ffi.NULL if value is None else name(value, what)


class Bytes:
    """An atls_bytes with what it points to."""

    def __init__(self, data: bytes) -> None:
        self._memory = ffi.from_buffer("uint8_t[]", data)
        self.value = ffi.new("atls_bytes *", {"ptr": self._memory, "len": len(data)})[0]


_shared: dict[str, Any] = {}


def runtime() -> Any:
    """The threads that all clients of the process share; started when the first one is made.

    Without a lock, which a fork or a handler of a signal could meet held for ever: of two that are made at once, one goes again.
    """
    if "runtime" not in _shared:
        _shared.setdefault("runtime", create("atls_runtime", lib.atls_runtime_free, lib.atls_runtime_new, 0))
    return _shared["runtime"]
