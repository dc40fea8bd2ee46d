"""What a client is made from: policies, trust, routes and limits, as the library takes them. For both kinds of client."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, Union

from ._native import FOREVER, call, create, ffi, lib, name, optional_name, runtime
from .verdict import PolicySource, policy_of
from .verification import Verifier

#: Bytes of a response that may wait in this process; more are asked for as they are taken.
CREDIT = 256 << 10


@dataclass(frozen=True)
class Timeout:
    """How long to wait, in seconds; None is no limit.

    A number in its place stands for `Timeout(n, n, n, n)`.
    """

    #: From dialling to the verdict: name, TCP, TLS, evidence, collateral.
    connect: float | None = 30.0
    #: For the response head once the request is sent, and for each piece of the body.
    read: float | None = 60.0
    #: For the connection to take a piece of the request's body.
    write: float | None = 60.0
    #: For a free place, if the client has as many requests under way as it may.
    pool: float | None = None
    #: From the call to the end of the response.
    total: float | None = None


TimeoutSource = Union[Timeout, float, None]


def timeout_of(source: TimeoutSource) -> Timeout:
    timeout = source if isinstance(source, Timeout) else Timeout(source, source, source, source)
    for which in ("connect", "read", "write", "pool", "total"):
        value = getattr(timeout, which)
        if value is not None and not (isinstance(value, (int, float)) and value > 0):
            raise ValueError(f"timeout {which} must be a positive number of seconds or None, not {value!r}")
    return timeout


def milliseconds(seconds: float | None) -> int:
    """As the library takes it: 0 would be its default, and all ones no limit."""
    if seconds is None or seconds >= FOREVER / 1000:
        return FOREVER
    return max(1, math.ceil(seconds * 1000))


class Proxy(NamedTuple):
    """`http://host:port`, `socks5://host:port` or `socks5h://host:port`, with the proxy's user and password if it wants some."""

    url: str
    user: str | None = None
    password: str | None = None


class Options(TypedDict, total=False):
    """The keyword arguments of clients and transports; what they mean and their defaults are in `Settings`."""

    policies: Mapping[str, PolicySource] | None
    verifier: Verifier | None
    root_pem: str | bytes | None
    platform_roots: bool
    client_certificate: tuple[str, str] | None
    proxy: Proxy | str | None
    tunnel: str | None
    connect_to: Mapping[tuple[str, int], tuple[str, int]] | None
    timeout: TimeoutSource
    max_requests: int
    max_connections_per_host: int | None
    max_idle_connections: int
    max_connection_age: float | None
    cookies: bool
    redirects: int
    decode: bool


@dataclass(frozen=True)
class Settings:
    """The keyword arguments of both clients."""

    policy: PolicySource | None = None
    #: Policies by host: a name, an address, or `*.` and a name. They come before `policy`.
    policies: Mapping[str, PolicySource] | None = None
    #: Shares the vendors' documents between clients; without one, each connection fetches its own.
    verifier: Verifier | None = None
    #: Further root certificates for TLS (PEM).
    root_pem: str | bytes | None = None
    #: Also trust the roots of the operating system.
    platform_roots: bool = False
    #: A certificate chain and its key (PEM), for servers that ask for one.
    client_certificate: tuple[str, str] | None = None
    proxy: Proxy | str | None = None
    #: `ws://` or `wss://` URL of a WebSocket forwarder.
    tunnel: str | None = None
    #: Other addresses for hosts: {("llm.example", 443): ("127.0.0.1", 8443)}. TLS, HTTP and policy go by the former.
    connect_to: Mapping[tuple[str, int], tuple[str, int]] | None = None
    timeout: TimeoutSource = Timeout()
    #: Requests under way at a time.
    max_requests: int = 100
    #: Connections to one host, idle ones included; None is no limit.
    max_connections_per_host: int | None = None
    max_idle_connections: int = 100
    #: Seconds after which a connection is replaced by a new one, which is attested anew.
    max_connection_age: float | None = None
    #: Keep and send back cookies.
    cookies: bool = False
    #: How many redirects are followed. They never leave an attested origin for an unattested one.
    redirects: int = 5
    #: Ask for gzip, deflate, br and zstd, and decode them.
    decode: bool = True


def _config(settings: Settings) -> Any:
    config = create("atls_config", lib.atls_config_free, lib.atls_config_new, ffi.NULL, 0)
    if settings.policy is not None:
        call(lib.atls_config_set_policy, config, policy_of(settings.policy)._handle)
    if settings.verifier is not None:
        call(lib.atls_config_set_verifier, config, settings.verifier._handle)
    if settings.root_pem is not None:
        pem = settings.root_pem.decode() if isinstance(settings.root_pem, bytes) else settings.root_pem
        call(lib.atls_config_add_root_pem, config, name(pem, "root_pem"))
    if settings.platform_roots:
        call(lib.atls_config_set_roots, config, True, True)
    if settings.client_certificate is not None:
        chain, key = settings.client_certificate
        pems = (name(chain, "client_certificate[0]"), name(key, "client_certificate[1]"))
        call(lib.atls_config_set_client_certificate, config, *pems)
    _set_route(config, settings)
    # Deadlines are those of the requests.
    call(lib.atls_config_set_timeouts, config, FOREVER, FOREVER)
    call(lib.atls_config_set_deadline, config, FOREVER)
    call(lib.atls_config_set_credit, config, CREDIT, False)
    return config


def _set_route(config: Any, settings: Settings) -> None:
    if settings.proxy is not None:
        proxy = Proxy(settings.proxy) if isinstance(settings.proxy, str) else settings.proxy
        user, password = optional_name(proxy.user, "proxy user"), optional_name(proxy.password, "proxy password")
        url = name(proxy.url, "proxy")
        call(lib.atls_config_set_proxy, config, url, user, password, lib.ATLS_AUTH_BASIC)
    if settings.tunnel is not None:
        call(lib.atls_config_set_tunnel, config, name(settings.tunnel, "tunnel"))
    for (host, port), (other_host, other_port) in (settings.connect_to or {}).items():
        names = name(host, "connect_to"), name(other_host, "connect_to")
        call(lib.atls_config_map_host, config, names[0], port, names[1], other_port)


def _limits(settings: Settings) -> Any:
    limits = create("atls_client_limits", lib.atls_client_limits_free, lib.atls_client_limits_new)
    call(lib.atls_client_limits_set_requests, limits, settings.max_requests)
    per_host = settings.max_connections_per_host
    # 0 would be the library's default.
    counts = (FOREVER if per_host is None else per_host, settings.max_idle_connections)
    if not all(count > 0 for count in counts):
        raise ValueError(f"max_connections_per_host and max_idle_connections must be above 0, not {counts}")
    call(lib.atls_client_limits_set_connections, limits, *counts)
    age = settings.max_connection_age
    call(lib.atls_client_limits_set_times, limits, 0, 0 if age is None else milliseconds(age))
    return limits


def make_client(settings: Settings) -> Any:
    """An event-driven atls_client."""
    timeout_of(settings.timeout)
    config, limits = _config(settings), _limits(settings)
    client = create("atls_client", lib.atls_client_free, lib.atls_client_new, runtime(), config, limits)
    for pattern, source in (settings.policies or {}).items():
        call(lib.atls_client_set_policy, client, name(pattern, "policies"), policy_of(source)._handle)
    if settings.cookies:
        call(lib.atls_client_set_cookies, client, True)
    return client
