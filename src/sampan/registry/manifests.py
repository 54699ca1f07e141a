"""One manifest or index from one host, checked against its digest (distribution-spec, "Pulling
manifests")."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import aiohttp

from sampan.kit import errors as kinds
from sampan.kit.record import Record
from sampan.registry import errors, problems
from sampan.spec import oci_image

if TYPE_CHECKING:
    from sampan.registry.client import Client
    from sampan.registry.transport import Transport

ACCEPT = ", ".join((*oci_image.MANIFESTS, *oci_image.INDEXES))
_SCHEMA_ONE = "application/vnd.docker.distribution.manifest.v1+"
_LARGEST_MANIFEST = 16 << 20  # bytes; the spec asks for at least 4 MiB


class Target(Record):
    """A manifest or an index, as it is stored."""

    media_type: str
    digest: str
    data: bytes

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


async def get(client: Client, host: Transport, wanted: str) -> Target:
    """By a tag or a digest. Raises ManifestUnknown, WrongDigest, SchemaOne, Unsupported."""
    response = await host.request(
        "GET", client._path(host, f"/manifests/{wanted}"),
        scopes=client._scope("pull"), headers={"Accept": ACCEPT},
    )  # fmt: skip
    if response.status != 200:
        found = await problems.problem(response)
        if response.status == 404:
            raise errors.ManifestUnknown(client._named(wanted))
        client._refuse(host, response.status, found, "pull")
    async with response:
        data = await _read(response, _LARGEST_MANIFEST)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if media_type.startswith(_SCHEMA_ONE):
        raise errors.SchemaOne(client._named(wanted))
    said = response.headers.get("Docker-Content-Digest", "")
    expected = wanted if ":" in wanted else said
    digest = same_digest(data, expected)
    if ":" in wanted and not digest.startswith(algorithm := f"{wanted.partition(':')[0]}:"):
        raise kinds.Unsupported(f"{wanted}: {algorithm[:-1]} cannot be checked")
    if digest.partition(":")[0] == expected.partition(":")[0] and digest != expected:
        raise errors.WrongDigest(host.host.name, expected, digest)
    return Target(media_type=media_type, digest=digest, data=data)


def same_digest(data: bytes, other: str) -> str:
    """The digest of some bytes, by the algorithm of another one where that can be checked."""
    algorithm = "sha512" if other.startswith("sha512:") else "sha256"
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    try:
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > most:
                response.close()
                raise errors.BadDocument(str(response.url), f"it is larger than {most} bytes")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise errors.Unreachable(
            response.host, f"the connection broke ({str(error) or 'timed out'})"
        ) from error
    return bytes(data)
