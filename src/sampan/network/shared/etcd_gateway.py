"""Asking an etcd: its JSON gateway (etcd 3.4 and newer), the first of its members that answers.

    gateway = Gateway(["http://192.0.2.1:2379"], patience=5)
    await gateway.ask("/v3/kv/range", {"key": …})
    async for message in gateway.follow("/v3/watch", {"create_request": {…}}): …

Where etcd wants to know who asks, `login` gives user and password, as they are then (or raises
StoreUnavailable); the token that it exchanges them for is valid at every member and ends now and
again (etcd's "Role-based access control").

Numbers of 64 bits are text in its JSON, keys and values are base64, a stream is a line for each
message, which is in "result"; a lost comparison has no "succeeded" at all.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import aiohttp

from sampan.network.shared.store import StoreUnavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Sequence

    Login = Callable[[], tuple[str, str]]

_LINE = 64 << 20  # bytes of one message of a stream, at most
_STALE = ("invalid auth token", "revision of auth store is old")  # a token's end
_OPEN = "authentication is not enabled"  # an etcd that asks nobody


class Gateway:
    """`patience`: seconds for one answer of one member."""

    def __init__(
        self,
        members: Sequence[str],
        *,
        patience: float,
        tls: ssl.SSLContext | None = None,
        login: Login | None = None,
    ) -> None:
        self._members = list(members)  # who answered last is first
        self._tls: ssl.SSLContext | bool = tls or True
        self._timeout = aiohttp.ClientTimeout(total=patience)
        self._waiting = aiohttp.ClientTimeout(sock_connect=patience)
        self._session: aiohttp.ClientSession | None = None
        self._login, self._token = login, ""

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises StoreUnavailable in the words of the last member that was tried."""
        failure = ""
        for member in list(self._members):
            try:
                status, found = await self._answer(member, path, body)
                if status == 200 and isinstance(found, dict):
                    self._prefer(member)
                    return found
                failure = f"{member}: {_words(found, status)}"
            except (aiohttp.ClientError, OSError, ValueError) as e:  # TimeoutError is an OSError
                failure = f"{member}: {_reason(e)}"
        raise StoreUnavailable(f"etcd at {failure}")

    async def _answer(self, member: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """(status, JSON); where our token has ended, asked again with another."""
        status, found = await self._admitted(member, path, body)
        if self._token and any(words in _words(found, status) for words in _STALE):
            self._token = ""
            status, found = await self._admitted(member, path, body)
        return status, found

    async def _admitted(self, member: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if self._login and not self._token:
            status, found = await self._authenticate(member, *self._login())
            if status != 200 and _OPEN not in _words(found, status):
                return status, found
        return await self._once(member, path, body)

    async def _authenticate(self, member: str, name: str, password: str) -> tuple[int, Any]:
        who = {"name": name, "password": password}
        status, found = await self._once(member, "/v3/auth/authenticate", who)
        self._token = str(found.get("token", "")) if status == 200 else ""
        return status, found

    async def _once(self, member: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        async with self._post(member, path, body, self._timeout) as answer:
            return answer.status, await answer.json(content_type=None)

    async def follow(self, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Each message's result, of the member that answered last, until StoreUnavailable."""
        member = self._members[0]
        try:
            async with self._post(member, path, body, self._waiting) as answer:
                async for line in answer.content:
                    message = json.loads(line)
                    if "result" not in message:
                        failure = _words(message, answer.status)
                        raise StoreUnavailable(f"etcd at {member}: {failure}")
                    yield message["result"]
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise StoreUnavailable(f"etcd at {member}: {_reason(e)}") from e
        raise StoreUnavailable(f"etcd at {member}: it ended the stream")

    def _post(
        self, member: str, path: str, body: dict[str, Any], timeout: aiohttp.ClientTimeout
    ) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(read_bufsize=_LINE)
        who = {"Authorization": self._token} if self._token else {}
        return self._session.post(
            member + path, json=body, headers=who, timeout=timeout, ssl=self._tls
        )

    def _prefer(self, member: str) -> None:
        if self._members[0] != member:
            self._members.remove(member)
            self._members.insert(0, member)


def _reason(error: Exception) -> str:
    """What a user can do something about, where it is known."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = cause.errno if isinstance(cause, OSError) else None
    if number is not None and number in errno.errorcode:
        return os.strerror(number).lower()
    return str(error) or "no answer"


def _words(answer: Any, status: int) -> str:
    """A refusal: {"error": …} of an answer, {"error": {"message": …}} of a stream."""
    found = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(found, dict):
        found = found.get("message")
    return str(found or f"HTTP status {status}")
