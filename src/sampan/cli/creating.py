"""Create a container, pulling its image where needed: the first half of `run`, all of `create`."""

from __future__ import annotations

import os
import sys

from sampan.cli import create_body, output, pulling
from sampan.client import errors
from sampan.kit import errors as kit_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session


def create(session: Session, args: Arguments, body: dict[str, Any] | None = None) -> str:
    """The new container's ID. Raises UsageError, ApiError."""
    body = body if body is not None else create_body.build(args)
    _add_proxies(session, body)
    secrets = _add_api_socket(session, body) if args["use-api-socket"] else b""
    cid_file = args["cidfile"]
    if cid_file and os.path.exists(cid_file):
        raise args.fail(
            f"container ID file found, make sure the other container isn't running or delete "
            f"{cid_file}"
        )
    if args["platform"]:
        output.platform(args["platform"])
    if cid_file:
        _write_id(cid_file, "")
    try:
        container_id = _created(session, args, body)
        if secrets:
            _put_secrets(session, container_id, secrets)
    except BaseException:
        if cid_file:
            os.unlink(cid_file)
        raise
    if cid_file:
        _write_id(cid_file, container_id)
    return container_id


def _created(session: Session, args: Arguments, body: dict[str, Any]) -> str:
    image = args.operands[0]
    if args["pull"] == "always":
        _pull(session, args, image)
    query = {"name": args["name"] or None, "platform": args["platform"] or None}
    try:
        answer = session.client.call("POST", "/containers/create", query, body)
    except errors.NotFound as error:
        if args["pull"] != "missing" or not is_missing_image(error):
            raise
        print(f"Unable to find image '{_tagged(image)}' locally", file=sys.stderr)
        _pull(session, args, image)
        answer = session.client.call("POST", "/containers/create", query, body)
    for warning in answer.get("Warnings") or ():
        print(f"WARNING: {warning}", file=sys.stderr)
    return str(answer["Id"])


def _add_api_socket(session: Session, body: dict[str, Any]) -> bytes:
    from sampan.cli import api_socket

    return api_socket.add(session, body)


def _put_secrets(session: Session, container_id: str, archive: bytes) -> None:
    path = f"/containers/{container_id}/archive"
    headers = {"Content-Type": "application/x-tar"}
    session.client.call("PUT", path, {"path": "/"}, archive, headers)


_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}


def _add_proxies(session: Session, body: dict[str, Any]) -> None:
    """The `proxies` of config.json as environment, in both spellings, where `-e` has no other."""
    proxies = session.config.get("proxies") or {}
    chosen = proxies.get(session.address) or proxies.get("default") or {}
    given = {entry.partition("=")[0] for entry in body["Env"] or ()}
    found = [
        f"{name}={chosen[key]}"
        for key, upper in _PROXIES.items()
        for name in (upper, upper.lower())
        if chosen.get(key) and name not in given
    ]
    if found:
        body["Env"] = [*(body["Env"] or ()), *found]


def is_missing_image(error: errors.NotFound) -> bool:
    """Whether a pull could help: there is none of that name, or none for that platform."""
    text = str(error).lower()
    return "no such image" in text or "does not provide the specified platform" in text


def _pull(session: Session, args: Arguments, image: str) -> None:
    pulling.pull(session, image, platform=args["platform"], quiet=args["quiet"], out=sys.stderr)


def _tagged(image: str) -> str:
    name, tag = pulling.split(image)
    return image if tag else f"{name}:latest"


def _write_id(path: str, container_id: str) -> None:
    """The file is there before the container: a place that cannot be written leaves no trace."""
    try:
        with open(path, "w") as file:
            file.write(container_id)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise kit_errors.InvalidArgument(
            f"failed to create the container ID file: open {path}: {reason}"
        ) from error
