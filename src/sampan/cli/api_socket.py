"""`run --use-api-socket`: a container that may use the engine, and its user's registries.

The engine's socket is mounted where Docker's is, and what the user has of credentials is put into
the container as a config.json (`DOCKER_CONFIG` says where), helpers' answers resolved. Whoever has
the socket is root on the host.
"""

from __future__ import annotations

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.session import Session

TARGET = "/var/run/docker.sock"
_DIRECTORY = "run/secrets/docker"


def add(session: Session, body: dict[str, Any]) -> bytes:
    """Ask for the socket; the archive to be put at / of the new container, empty for none."""
    address = session.address
    if not address.startswith("unix://"):
        raise errors.InvalidArgument(
            f"--use-api-socket needs an engine at a Unix socket of its host, not {address}"
        )
    mount = {"Type": "bind", "Source": address.removeprefix("unix://"), "Target": TARGET}
    body["HostConfig"]["Mounts"] = [*(body["HostConfig"].get("Mounts") or ()), mount]
    if any(entry.startswith("DOCKER_CONFIG=") for entry in body["Env"] or ()):
        return b""
    known = _credentials(session.config)
    if not known:
        return b""
    body["Env"] = [*(body["Env"] or ()), f"DOCKER_CONFIG=/{_DIRECTORY}"]
    return _archive(known)


def _credentials(config: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Entries of `auths`, by registry."""
    import binascii

    from sampan.cli import config_file

    found = {}
    for key in {**(config.get("auths") or {}), **(config.get("credHelpers") or {})}:
        entry = config_file.credentials(config, key)
        if entry and entry.get("identitytoken"):
            found[key] = {"identitytoken": entry["identitytoken"]}
        elif entry:
            pair = f"{entry['username']}:{entry['password']}".encode()
            found[key] = {"auth": binascii.b2a_base64(pair, newline=False).decode()}
    return found


def _archive(auths: dict[str, dict[str, str]]) -> bytes:
    import json

    from sampan.image import tar

    parts: list[bytes] = []
    writer = tar.Writer(parts.append)
    writer.add(tar.Entry(_DIRECTORY, tar.DIRECTORY, mode=0o700), b"")
    writer.add(
        tar.Entry(f"{_DIRECTORY}/config.json", mode=0o600), json.dumps({"auths": auths}).encode()
    )
    writer.finish()
    return b"".join(parts)
