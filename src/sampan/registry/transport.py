"""Requests to one host: authentication, redirects, retries, clear errors. The thin I/O.

    transport = Transport(session, host, credentials=…)
    async with await transport.request("GET", "/library/busybox/tags/list", scopes=[…]) as response:

What to do is decided by `auth`, `retries` and `tls`. Credentials and the host's own headers go to
the host itself and never to where it redirects (distribution-spec, "Pulling blobs").
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp
import yarl

from sampan.kit.threads import in_thread
from sampan.registry import auth, errors, hosts, notices, problems, proxies, retries, tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable

    from sampan.kit import errors as kinds

    Body = Callable[[], "AsyncIterable[bytes] | bytes"]  # made anew for each try

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_TRIES, _MIRROR_TRIES = 6, 2
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=90)


class _Call(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Body | None
    limits: aiohttp.ClientTimeout


def session() -> aiohttp.ClientSession:
    """What transports share: the connections. Bodies are left as they were sent."""
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=0)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=_TIMEOUT,
        auto_decompress=False,
        read_bufsize=1 << 20,
        headers={"User-Agent": "sampan", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class Transport:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        host: hosts.Host,
        *,
        credentials: auth.Credentials | None = None,
        directory: str = "",
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.host, self.credentials = host, credentials
        self._session, self._pause = session, pause
        self._directory = directory or f"{hosts.DIRECTORIES[0]}/{host.name}"
        self._scheme = host.scheme
        self._challenge: auth.Challenge | None = None
        self._tokens: dict[tuple[str, ...], auth.Token] = {}
        self._token_lock = asyncio.Lock()
        self._context: Any = None
        self._context_lock = asyncio.Lock()
        self.on_retry: Callable[[str, float], None] = lambda why, seconds: None
        self.on_warning: Callable[[str], None] = lambda text: None
        self._warned: set[str] = set()

    @property
    def origin(self) -> tuple[str, str]:
        return self._scheme, self.host.name

    def url(self, path: str) -> str:
        """A path below `/v2`, or a Location as it came, as an absolute URL."""
        return path if "://" in path else f"{self._scheme}://{self.host.name}{self.host.path}{path}"

    def joined(self, response: aiohttp.ClientResponse, location: str) -> str:
        return urljoin(str(response.url), location)

    async def request(
        self,
        method: str,
        path: str,
        *,
        scopes: Iterable[str] = (),
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        limits: aiohttp.ClientTimeout = _TIMEOUT,
        once: bool = False,
    ) -> aiohttp.ClientResponse:
        """An open response of whatever status is not to be tried again; the caller closes it.

        `once` leaves trying again to the caller, for what changes something half-way.
        Raises Unreachable and its kin, TooManyRequests, ServerFailed, Unauthorized.
        """
        wanted = auth.merge(scopes)
        call = _Call(method, path, headers or {}, body, limits)
        tries = 1 if once else _MIRROR_TRIES if self.host.mirror_of else _TRIES
        patience = retries.Patience(tries)
        while True:
            try:
                response = await self._authorized(call, wanted)
            except (aiohttp.ClientError, OSError) as error:
                explained = tls.explain(error, self.host.name, self._directory)
                explained.__cause__ = error
                delay, why = patience.again(explained, lasting=tls.lasting(error)), explained.why
            else:
                if response.status not in retries.STATUSES:
                    return response
                failure = await self._failure(response)
                delay, why = patience.again(failure), str(failure)
            self.on_retry(why, delay)
            await self._pause(delay)

    async def _failure(self, response: aiohttp.ClientResponse) -> kinds.Unavailable:
        _, why = await problems.problem(response)
        asked = retries.retry_after(response.headers.get("Retry-After"), time.time())
        if response.status == 429:
            return errors.TooManyRequests(self.host.name, why, asked)
        return errors.ServerFailed(self.host.name, response.status, why, asked)

    async def _authorized(self, call: _Call, scopes: tuple[str, ...]) -> aiohttp.ClientResponse:
        """One try, and a second one with a fresh token where the first is answered 401."""
        authorization = await self._authorization(scopes)
        response = await self._follow(call, authorization)
        if response.status != 401 or _origin(str(response.url)) != self.origin:
            return response
        challenge = auth.choose(auth.parse(response.headers.get("WWW-Authenticate", "")))
        if challenge is None:
            return response
        self._challenge = challenge
        self._tokens.pop(scopes, None)
        again = await self._authorization(scopes)
        if again is None or (again == authorization and challenge.scheme == "basic"):
            return response
        await problems.discard(response)
        return await self._follow(call, again)

    async def _authorization(self, scopes: tuple[str, ...]) -> str | None:
        """The header for these scopes, once a challenge has told the way."""
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            known = self.credentials is not None and self.credentials.username
            return auth.basic(self.credentials) if known and self.credentials else None
        if self.credentials is not None and self.credentials.registry_token:
            return f"Bearer {self.credentials.registry_token}"
        async with self._token_lock:
            token = self._tokens.get(scopes)
            if token is None or not token.good(time.monotonic()):
                token = self._tokens[scopes] = await self._token(self._challenge, scopes)
        return f"Bearer {token.value}"

    async def _token(self, challenge: auth.Challenge, scopes: tuple[str, ...]) -> auth.Token:
        wanted = [*scopes, challenge.parameters.get("scope", "")]
        request = auth.token_request(challenge, wanted, self.credentials)
        realm = challenge.parameters["realm"]
        async with await self._send(
            request.method, request.url, request.headers, request.body or None
        ) as response:
            if response.status in (400, 401, 403):
                raise errors.Unauthorized(
                    self.host.name, (await problems.problem(response)).message
                )
            if response.status != 200:
                why = (await problems.problem(response)).message
                raise auth.BadAnswer(realm, f"HTTP {response.status}: {why}")
            return auth.token_answer(realm, await response.read(), time.monotonic())

    async def _follow(self, call: _Call, authorization: str | None) -> aiohttp.ClientResponse:
        url, method, body = self.url(call.path), call.method, call.body
        for _ in range(_MOST_REDIRECTS):
            sent = dict(call.headers)
            if _origin(url) == self.origin:
                sent.update(self.host.headers)
                if authorization is not None:
                    sent["Authorization"] = authorization
            response = await self._send(method, url, sent, body() if body else None, call.limits)
            self._warn(response)
            location = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not location:
                return response
            await problems.discard(response)
            url = self.joined(response, location)
            if response.status == 303 and method != "HEAD":
                method, body = "GET", None
        raise errors.Unreachable(self.host.name, f"more than {_MOST_REDIRECTS} redirects")

    def _warn(self, response: aiohttp.ClientResponse) -> None:
        """Pass on what the host itself warns of, each sentence once."""
        if _origin(str(response.url)) != self.origin:
            return
        for text in notices.read(response.headers.getall("Warning", ())):
            if text not in self._warned:
                self._warned.add(text)
                self.on_warning(text)

    async def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: Any,
        limits: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> aiohttp.ClientResponse:
        """One request, nothing followed; plain http where that is allowed and spoken."""
        while True:
            try:
                return await self._session.request(
                    method,
                    yarl.URL(url, encoded=True),
                    headers=headers,
                    data=data,
                    allow_redirects=False,
                    ssl=await self._ssl(url),
                    proxy=proxies.proxy_for(url),
                    timeout=limits,
                )
            except aiohttp.InvalidURL as error:
                raise errors.Unreachable(self.host.name, f"{url} is no address") from error
            except aiohttp.ClientError as error:
                own = _origin(url) == ("https", self.host.name)
                if not (own and self.host.plain_fallback and tls.not_https(error)):
                    raise
                self._scheme = "http"
                url = url.replace("https://", "http://", 1)

    async def _ssl(self, url: str) -> Any:
        if not url.startswith("https:"):
            return True
        async with self._context_lock:
            if self._context is None:  # reading the system's authorities takes 10 to 30 ms
                self._context = await in_thread(tls.context, self.host)
        return self._context


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
