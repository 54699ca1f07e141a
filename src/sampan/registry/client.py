"""A repository of one registry, over HTTP: distribution-spec 1.1, Docker's token authentication.

    async with Client(reference, credentials) as client:
        data, media_type, digest = await client.manifest("latest")
        async for chunk in client.blob(descriptor, offset): …

Bytes of manifests are checked against their digest here; blobs by whoever stores them.
Authorization is sent to the registry itself only, never along a redirect to another host.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from sampan.kit.record import Record
from sampan.registry import auth, errors, hosts
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from sampan.spec.reference import Reference

ACCEPT = ", ".join((*oci_image.MANIFESTS, *oci_image.INDEXES))
_ATTEMPTS = 4
_CHUNK = 1 << 20
_LARGEST_MANIFEST = 16 << 20


class Manifest(Record):
    data: bytes
    media_type: str
    digest: str


class Client:
    def __init__(
        self, reference: Reference, credentials: dict[str, str] | None = None, *, push: bool = False
    ) -> None:
        self._reference, self._credentials, self._push = reference, credentials or {}, push
        self._hosts = [h for h in hosts.hosts_of(reference.domain) if h.push or not push]
        self._host: hosts.Host | None = None
        self._authorization = ""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, connect=30, sock_read=60)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,
            read_bufsize=_CHUNK,
            headers={"User-Agent": "sampan/0.1"},
            trust_env=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    # -- reading

    async def manifest(self, identifier: str) -> Manifest:
        """A manifest or index by tag or digest. ManifestUnknown, CorruptBlob, …"""
        path = f"manifests/{identifier}"
        async with await self._ask("GET", path, headers={"Accept": ACCEPT}) as answer:
            if answer.status == 404:
                raise errors.ManifestUnknown(self._shown(identifier))
            await self._expect(answer, 200)
            data = await answer.content.read(_LARGEST_MANIFEST)
            said = answer.headers.get("Docker-Content-Digest", "")
            media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        wanted = identifier if ":" in identifier else said
        actual = _digest(data, wanted)
        if wanted and actual != wanted:
            raise errors.CorruptBlob(wanted, f"the manifest that came has {actual}")
        return Manifest(data=data, media_type=media_type, digest=actual)

    async def blob(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """A blob's bytes from `offset` on; the first item is empty if it begins at 0 after all."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with await self._ask("GET", f"blobs/{digest}", headers=headers) as answer:
            if offset and answer.status != 206:
                yield b""
            if answer.status not in (200, 206):
                await self._expect(answer, 200)
            try:
                async for chunk in answer.content.iter_any():
                    yield chunk
            except aiohttp.ClientPayloadError as error:
                raise errors.RegistryUnavailable(
                    f"{self._reference.domain} closed the connection within {digest}"
                ) from error

    async def has_blob(self, digest: str) -> bool:
        async with await self._ask("HEAD", f"blobs/{digest}") as answer:
            return answer.status == 200

    # -- writing

    async def put_blob(
        self, digest: str, size: int, data: AsyncIterable[bytes], *, mount_from: str = ""
    ) -> bool:
        """Upload a blob; False when the registry mounted it from `mount_from` instead."""
        query = f"?mount={digest}&from={mount_from}" if mount_from else ""
        async with await self._ask("POST", f"blobs/uploads/{query}") as answer:
            if answer.status == 201:
                return False
            await self._expect(answer, 202)
            location = answer.headers.get("Location", "")
        base = self._base()
        url = location if "://" in location else base.partition("/v2/")[0] + location
        url += ("&" if "?" in url else "?") + f"digest={digest}"
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            **self._authorized(url),
        }
        async with await self._send("PUT", url, headers=headers, data=data) as answer:
            await self._expect(answer, 201)
        return True

    async def put_manifest(self, identifier: str, data: bytes, media_type: str) -> None:
        headers = {"Content-Type": media_type}
        path = f"manifests/{identifier}"
        async with await self._ask("PUT", path, headers=headers, data=data) as answer:
            await self._expect(answer, 201)

    # -- one exchange

    async def _ask(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send to the first host that answers; authenticate when asked to; try again when busy."""
        for attempt in range(_ATTEMPTS):
            answer = await self._once(method, path, **options)
            if answer.status == 401 and attempt == 0:
                await self._authenticate(answer)
                answer = await self._once(method, path, **options)
            if answer.status not in (429, 500, 502, 503, 504) or attempt == _ATTEMPTS - 1:
                return answer
            wait = answer.headers.get("Retry-After", "")
            answer.release()
            await asyncio.sleep(min(float(wait), 30) if wait.isdigit() else 0.2 * 2**attempt)
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        headers = options.pop("headers", {})
        candidates = [self._host] if self._host else self._hosts
        failure: Exception | None = None
        for host in candidates:
            url = f"{host.url}/v2/{self._reference.path}/{path}"
            try:
                answer = await self._send(
                    method, url, host=host, headers={**headers, **self._authorized(url)}, **options
                )
            except errors.RegistryUnavailable as error:
                failure = failure or error
                if "connection refused" in str(error):
                    failure = error
                continue
            self._host = host
            return answer
        raise failure or errors.RegistryUnavailable(
            f"no host is configured for {self._reference.domain}"
        )

    def _base(self) -> str:
        assert self._host is not None
        return f"{self._host.url}/v2/{self._reference.path}"

    def _authorized(self, url: str) -> dict[str, str]:
        host = self._host or self._hosts[0]
        if self._authorization and url.startswith(host.url + "/"):
            return {"Authorization": self._authorization}
        return {}

    async def _send(
        self, method: str, url: str, *, host: hosts.Host | None = None, **options: Any
    ) -> aiohttp.ClientResponse:
        assert self._session is not None
        host = host or self._host or self._hosts[0]
        try:
            return await self._session.request(method, url, ssl=_tls(host), **options)
        except aiohttp.ClientConnectorCertificateError as error:
            raise errors.RegistryUnavailable(
                f"{url}: its certificate is refused: {error.certificate_error}; name its CA or "
                f"skip_verify in {hosts.DIRECTORY}/{self._reference.domain}/hosts.toml"
            ) from error
        except aiohttp.ClientSSLError as error:
            raise errors.RegistryUnavailable(
                f"{url}: no TLS is spoken there: {error}; for plain HTTP name it with http:// in "
                f"{hosts.DIRECTORY}/{self._reference.domain}/hosts.toml"
            ) from error
        except aiohttp.ClientConnectorError as error:
            why = (error.strerror or str(error)).lower()
            if "connect call failed" in why:
                why = "connection refused"
            raise errors.RegistryUnavailable(f"{method} {url}: {why}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise errors.RegistryUnavailable(f"{method} {url}: {why}") from error

    async def _authenticate(self, answer: aiohttp.ClientResponse) -> None:
        challenge = auth.parse_challenge(answer.headers.get("WWW-Authenticate", ""))
        answer.release()
        user, password = self._credentials.get("username"), self._credentials.get("password")
        if challenge.scheme == "basic":
            if user is None:
                raise errors.Unauthorized(
                    f"{self._reference.domain} asks for a login: no basic auth credentials"
                )
            self._authorization = auth.basic(user, password or "")
        elif challenge.scheme == "bearer":
            self._authorization = "Bearer " + await self._token(challenge)

    async def _token(self, challenge: auth.Challenge) -> str:
        assert self._session is not None
        url = auth.token_url(challenge, auth.scope(self._reference.path, push=self._push))
        user, password = self._credentials.get("username"), self._credentials.get("password")
        headers = {"Authorization": auth.basic(user, password or "")} if user else {}
        async with await self._send("GET", url, headers=headers) as answer:
            body = await answer.read()
            if answer.status in (401, 403):
                raise errors.Unauthorized(
                    f"{self._reference.domain} refuses the login: {errors.sentence(body)}"
                )
            document = await answer.json(content_type=None) if answer.status == 200 else {}
        token = document.get("token") or document.get("access_token")
        if not token:
            raise errors.RegistryUnavailable(f"{url} gave no token: {errors.sentence(body)}")
        return str(token)

    async def _expect(self, answer: aiohttp.ClientResponse, status: int) -> None:
        if answer.status == status:
            return
        told = errors.sentence(await answer.content.read(65536))
        if answer.status in (401, 403):
            raise errors.Denied(self._reference.path, told)
        if answer.status == 404:
            raise errors.ManifestUnknown(f"{self._reference.path} ({told})")
        raise errors.Refused(
            f"{answer.method} {answer.url} answered {answer.status}: {told or answer.reason}"
        )

    def _shown(self, identifier: str) -> str:
        joiner = "@" if ":" in identifier else ":"
        name = self._reference.repository.removeprefix("docker.io/").removeprefix("library/")
        return f"{name}{joiner}{identifier}"


def _digest(data: bytes, wanted: str) -> str:
    algorithm = wanted.partition(":")[0] or "sha256"
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def _tls(host: hosts.Host) -> ssl.SSLContext | bool:
    if host.skip_verify:
        return False
    if host.ca:
        return ssl.create_default_context(cafile=host.ca)
    return True
