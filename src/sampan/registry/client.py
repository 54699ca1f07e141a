"""A client of one repository at a registry and its mirrors (distribution-spec 1.1).

    async with Client(reference.parse("localhost:5000/app:1"), credentials=…) as client:
        target = await client.resolve()                      its manifest: bytes, digest, media type
        async with client.fetch(descriptor, offset) as blob: async for chunk in blob.chunks(): …
        await client.push_manifest("1", media_type, data)

Reading goes through the mirrors of `hosts` first and to the registry last; writing only to hosts
that may push. Digests of manifests are checked here; those of blobs by whoever writes them down.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlencode

from sampan.kit import errors as kinds
from sampan.kit.threads import in_thread
from sampan.registry import auth, blobs, errors, manifests, problems, tags, transport
from sampan.registry.credentials import Found
from sampan.registry.events import Event
from sampan.registry.hosts import Config
from sampan.registry.upload import Uploads
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import aiohttp

    from sampan.registry.events import Listener
    from sampan.registry.transport import Transport

    Credentials = auth.Credentials

T = TypeVar("T")


class Client:
    """`credentials` are the registry's own, `of_mirror` finds those of a mirror (it may block)."""

    def __init__(
        self,
        target: reference.Reference,
        *,
        credentials: Credentials | None = None,
        of_mirror: Callable[[str], Found] = lambda host: Found(),
        hosts: Config | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.reference = target
        self._of_mirror, self._credentials, self._pause = of_mirror, credentials, pause
        self._warnings: list[str] = []
        self._config = hosts or Config()
        self._session: aiohttp.ClientSession | None = None
        self.hosts: list[Transport] = []

    async def __aenter__(self) -> Self:
        found = self._config.of(self.reference.domain)
        self._session = transport.session()
        for host in found:
            credentials = self._credentials
            if host.mirror_of:
                known = await in_thread(self._of_mirror, host.name)
                credentials = known.credentials
                self._warnings += known.warnings
            self.hosts.append(
                transport.Transport(
                    self._session,
                    host,
                    credentials=credentials,
                    directory=f"{self._config.directories[0]}/{self.reference.domain}",
                    pause=self._pause,
                )
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def tell(self, listener: Listener) -> None:
        """From now on the listener hears of retries and of registries' warnings."""

        def retrying(why: str, seconds: float) -> None:
            listener(Event(kind="retrying", message=f"{why}; again in {seconds:.1f} s"))

        for text in self._warnings:
            listener(Event(kind="warning", message=text))
        for host in self.hosts:
            host.on_retry = retrying
            host.on_warning = partial(_warning, listener, host.host.name)

    # -- reading

    async def ping(self) -> None:
        """Say who we are to the registry itself: `login`. Raises Unauthorized."""
        host = self.hosts[-1]
        response = await host.request("GET", "/")
        if response.status != 200:
            self._refuse(host, response.status, await problems.problem(response), "login")
        await problems.discard(response)

    async def resolve(self, identifier: str = "") -> manifests.Target:
        """The manifest behind a tag or a digest (default: the reference's own).

        Raises ManifestUnknown, AccessDenied, Unreachable, WrongDigest, SchemaOne.
        """
        wanted = identifier or self.reference.identifier

        async def get(host: Transport) -> manifests.Target:
            return await manifests.get(self, host, wanted)

        return await self._from_hosts("resolve" if ":" not in wanted else "pull", get)

    async def head(self, identifier: str = "") -> str | None:
        """The digest behind a tag without its bytes; None where the registry does not say.

        Registries that count pulls do not count this.
        """
        wanted = identifier or self.reference.identifier

        async def ask(host: Transport) -> str | None:
            response = await host.request(
                "HEAD", self._path(host, f"/manifests/{wanted}"),
                scopes=self._scope("pull"), headers={"Accept": manifests.ACCEPT},
            )  # fmt: skip
            await problems.discard(response)
            digest = response.headers.get("Docker-Content-Digest", "")
            good = response.status == 200 and reference.valid_digest(digest)
            return digest if good else None

        return await self._from_hosts("resolve", ask)

    @asynccontextmanager
    async def fetch(
        self,
        descriptor: dict[str, Any],
        offset: int = 0,
        length: int | None = None,
        *,
        etag: str = "",
        skip: int = 0,
    ) -> AsyncIterator[blobs.Blob]:
        """`length` bytes (default: the rest) of a blob from `offset` on where the host can do that.

        Else all of it comes, see `Blob`. `etag` (of an earlier answer) makes sure that it is a part
        of the same bytes; without one the digest tells afterwards. `skip` passes over that many
        hosts, for one that lied.
        """
        wanted = blobs.Wanted(descriptor["digest"], offset, length, etag)

        async def get(host: Transport) -> blobs.Blob:
            return await blobs.get(self, host, wanted)

        blob = await self._from_hosts("pull", get, skip=skip)
        try:
            yield blob
        finally:
            blob.close()

    async def read_range(self, descriptor: dict[str, Any], offset: int, length: int) -> bytes:
        """Just these bytes of a blob, unchecked: who asks knows what they should be.

        Raises Unsupported where the host sends all or nothing, Unreachable where fewer come.
        """
        async with self.fetch(descriptor, offset, length) as blob:
            if not blob.partial:
                raise kinds.Unsupported(f"{blob.host} does not send parts of a blob")
            data = b"".join([chunk async for chunk in blob.chunks()])
        if len(data) != length:
            raise errors.Unreachable(blob.host, f"{len(data)} of {length} bytes came")
        return data

    async def tags(self) -> list[str]:
        """All tags, page after page (Link headers)."""

        async def get(host: Transport) -> list[str]:
            return await tags.all_of(self, host)

        return await self._from_hosts("resolve", get)

    async def referrers(self, digest: str) -> list[dict[str, Any]]:
        """What names this manifest as its subject; empty where the registry has no such list."""

        async def get(host: Transport) -> list[dict[str, Any]]:
            return await tags.referrers(self, host, digest)

        return await self._from_hosts("resolve", get)

    # -- writing

    @property
    def uploads(self) -> Uploads:
        """Pushing blobs, to the host that takes them."""
        return Uploads(self, self.writer())

    def writer(self) -> Transport:
        for host in reversed(self.hosts):
            if "push" in host.host.capabilities:
                return host
        raise kinds.Unsupported(f"no host of {self.reference.domain} may be pushed to")

    async def has_manifest(self, identifier: str) -> bool:
        host = self.writer()
        response = await host.request(
            "HEAD", self._path(host, f"/manifests/{identifier}"),
            scopes=self._scope("pull,push"), headers={"Accept": manifests.ACCEPT},
        )  # fmt: skip
        await problems.discard(response)
        return response.status == 200

    async def push_manifest(self, identifier: str, media_type: str, data: bytes) -> str:
        """Store a manifest under a tag or its digest; returns the digest."""
        host = self.writer()
        response = await host.request(
            "PUT", self._path(host, f"/manifests/{identifier}"), scopes=self._scope("pull,push"),
            headers={"Content-Type": media_type}, body=lambda: data,
        )  # fmt: skip
        if response.status not in (200, 201, 202):
            self._refuse(host, response.status, await problems.problem(response), "push")
        await problems.discard(response)
        said = response.headers.get("Docker-Content-Digest") or oci_image.digest_of(data)
        digest = manifests.same_digest(data, said)
        if said != digest:
            raise errors.WrongDigest(host.host.name, digest, said)
        return digest

    async def delete(self, identifier: str, *, blob: bool = False) -> None:
        """Delete a tag, a manifest by its digest, or a blob."""
        host, kind = self.writer(), "blobs" if blob else "manifests"
        response = await host.request(
            "DELETE", self._path(host, f"/{kind}/{identifier}"),
            scopes=self._scope("delete,pull,push"),
        )  # fmt: skip
        if response.status not in (200, 202, 204):
            found = await problems.problem(response)
            if response.status == 404:
                raise errors.ManifestUnknown(self._named(identifier))
            self._refuse(host, response.status, found, "delete")
        await problems.discard(response)

    # -- for `tags` and `upload`

    def _path(self, host: Transport, rest: str) -> str:
        path = f"/{self.reference.path}{rest}"
        if not host.host.mirror_of:
            return path
        return f"{path}?{urlencode({'ns': host.host.mirror_of})}"

    def _scope(self, actions: str) -> list[str]:
        return [auth.scope(self.reference.path, actions)]

    def _named(self, identifier: str) -> str:
        separator = "@" if ":" in identifier else ":"
        return reference.familiar(f"{self.reference.repository}{separator}{identifier}")

    def _refuse(self, host: Transport, status: int, found: problems.Problem, action: str) -> None:
        """Raise what an answer outside the 200s means."""
        name, repository = host.host.name, reference.familiar(self.reference.repository)
        if status == 401 and (action == "login" or host.credentials is not None):
            raise errors.Unauthorized(name, found.message)
        if status in (401, 403):
            raise errors.AccessDenied(action, repository, found.message)
        if status == 404:
            raise errors.RepositoryUnknown(repository)
        raise errors.Refused(name, status, found.message)

    async def _from_hosts(
        self, capability: str, ask: Callable[[Transport], Awaitable[T]], *, skip: int = 0
    ) -> T:
        """The first host's answer that is one; the last one's error where none is."""
        able = [host for host in self.hosts if capability in host.host.capabilities]
        notes: list[str] = []
        for host in able[skip:-1]:
            try:
                return await ask(host)
            except kinds.SampanError as error:
                notes.append(f"mirror {host.host.name}: {error}")
        if not able[skip:]:
            raise kinds.NotFound(f"no host of {self.reference.domain} is left to ask")
        try:
            return await ask(able[-1])
        except kinds.SampanError as error:
            for note in notes:
                error.add_note(note)
            raise


def _warning(listener: Listener, host: str, text: str) -> None:
    listener(Event(kind="warning", message=f"Warning from {host}: {text}"))
