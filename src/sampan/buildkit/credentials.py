"""moby.filesync.v1.Auth/Credentials: who the client is at a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.buildkit import grpc, messages
from sampan.registry.auth import Credentials
from sampan.spec import reference

if TYPE_CHECKING:
    from sampan.buildkit.sessions import Session

_METHOD = "/moby.filesync.v1.Auth/Credentials"
_HUB, _HUB_HOST = "docker.io", "registry-1.docker.io"


async def ask(session: Session, name: str) -> Credentials | None:
    """For the registry of an image's name; None where the client has none, or cannot be asked.

    Asked whatever the session says that it offers: dockerode's says nothing.
    """
    domain = reference.parse(name).domain
    host = _HUB_HOST if domain == _HUB else domain
    try:
        answer = await session.channel.ask(
            _METHOD, messages.HOST, messages.CREDENTIALS, {"Host": host}
        )
    except grpc.Refused:
        return None
    if not answer["Secret"]:
        return None
    if not answer["Username"]:
        return Credentials(identity_token=answer["Secret"])
    return Credentials(username=answer["Username"], password=answer["Secret"])
