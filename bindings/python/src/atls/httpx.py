"""Transports that attest the servers of an `httpx` client, and so of packages built on one, such as `openai`.

    client = httpx.Client(transport=AttestedTransport(policy=policy))

Do not give the client a `proxy` or `mounts` of its own: httpx sends what they match past this transport. A proxy is an argument here.
A server that is refused raises `atls.AttestationError`, not an `httpx.TransportError`, so that nobody repeats the request as if the network
had failed. The verdict is `response.extensions["atls_verdict"]`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import httpx

from ._glue import Raised, extensions, outgoing
from ._settings import Options
from .aio import AsyncClient, AsyncResponse
from .client import Client, Response
from .verdict import PolicySource

if TYPE_CHECKING:
    from typing_extensions import Unpack


__all__ = ["AsyncAttestedTransport", "AttestedTransport"]


class _Body(httpx.SyncByteStream):
    def __init__(self, response: Response, request: httpx.Request) -> None:
        self._response, self._request = response, request

    def __iter__(self) -> Iterator[bytes]:
        with Raised(httpx, self._request):
            yield from self._response.iter_bytes()

    def close(self) -> None:
        self._response.close()


class AttestedTransport(httpx.BaseTransport):
    """For `httpx.Client`. Takes the arguments of `atls.Client`; timeouts are those of httpx."""

    def __init__(self, policy: PolicySource | None = None, **settings: Unpack[Options]) -> None:
        self._client = Client(policy, **settings)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with Raised(httpx, request):
            response = self._client._request(outgoing(request))
        exchange = response._exchange
        body = _Body(response, request)
        fields = list(exchange.headers.fields)
        return httpx.Response(exchange.status, headers=fields, stream=body, extensions=extensions(exchange))

    def close(self) -> None:
        self._client.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, response: AsyncResponse, request: httpx.Request) -> None:
        self._response, self._request = response, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with Raised(httpx, self._request):
            async for piece in self._response.iter_bytes():
                yield piece

    async def aclose(self) -> None:
        self._response.close()


class AsyncAttestedTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient` under asyncio. Takes the arguments of `atls.AsyncClient`; timeouts are those of httpx."""

    def __init__(self, policy: PolicySource | None = None, **settings: Unpack[Options]) -> None:
        self._client = AsyncClient(policy, **settings)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with Raised(httpx, request):
            response = await self._client._request(outgoing(request))
        exchange = response._exchange
        body = _AsyncBody(response, request)
        fields = list(exchange.headers.fields)
        return httpx.Response(exchange.status, headers=fields, stream=body, extensions=extensions(exchange))

    async def aclose(self) -> None:
        self._client.close()
