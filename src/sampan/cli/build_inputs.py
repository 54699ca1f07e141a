"""What `sampan build` gives along: secrets, agents, contexts that have names, credentials."""

from __future__ import annotations

import os

from sampan.cli import building, config_file
from sampan.cli.parse import csv
from sampan.client import errors as client_errors
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sampan.cli.session import Session

_LAYOUT = "oci-layout://"
_LARGEST = 500 << 10  # bytes of a secret, as BuildKit allows


def secrets(texts: Sequence[str], environ: Mapping[str, str]) -> dict[str, bytes]:
    """`id=NAME[,src=FILE|,env=VARIABLE]`; without either the variable or the file of that name."""
    found = {}
    for text in texts:
        fields = _fields("secret", text, ("type", "id", "src", "source", "env"))
        path, variable = fields.get("src") or fields.get("source") or "", fields.get("env") or ""
        ident = fields.get("id") or os.path.basename(path)
        if not ident:
            raise errors.InvalidArgument(f"--secret {text}: no id")
        if not path and not variable:
            path, variable = ("", ident) if ident in environ else (ident, "")
        found[ident] = _value(text, path, variable, environ)
    return found


def _value(text: str, path: str, variable: str, environ: Mapping[str, str]) -> bytes:
    if variable:
        if variable not in environ:
            raise errors.InvalidArgument(f"--secret {text}: {variable} is not set")
        return environ[variable].encode("utf-8", "surrogateescape")
    try:
        with open(path, "rb") as file:
            value = file.read(_LARGEST + 1)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise errors.InvalidArgument(f"--secret {text}: {path}: {reason}") from error
    if len(value) > _LARGEST:
        raise errors.InvalidArgument(f"--secret {text}: {path} is larger than {_LARGEST} bytes")
    return value


def _fields(option: str, text: str, known: Sequence[str]) -> dict[str, str]:
    try:
        fields = dict(csv.pairs(text))
    except ValueError as error:
        raise errors.InvalidArgument(f"--{option} {text}: {error}") from None
    for key in fields:
        if key not in known:
            raise errors.InvalidArgument(f"--{option} {text}: unexpected key '{key}'")
    return fields


def agents(texts: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """`default`, or ID=SOCKET: the sockets of agents on this machine."""
    found = {}
    for text in texts:
        ident, _, path = text.partition("=")
        path = path or environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise errors.InvalidArgument(f"--ssh {text}: no agent: SSH_AUTH_SOCK is not set")
        if not building.is_socket(path):
            raise errors.InvalidArgument(f"--ssh {text}: {path} is no agent's socket")
        found[ident or "default"] = os.path.abspath(path)
    return found


def contexts(session: Session, texts: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """name → what the engine is told, and name → directory or tar for those that travel along."""
    told: dict[str, str] = {}
    along: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise errors.InvalidArgument(f"--build-context {text}: NAME=VALUE is wanted")
        if value.startswith(_LAYOUT):
            told[name] = f"docker-image://{_loaded(session, value.removeprefix(_LAYOUT))}"
        elif value.startswith("docker-image://") or building.is_remote(value):
            told[name] = value
        elif os.path.isdir(value) or os.path.isfile(value):
            along[name] = value
            told[name] = f"local:{name}"
        else:
            raise errors.InvalidArgument(f"--build-context {text}: {value} is no directory, no tar")
    return told, along


def lent(session: Session, directory: str) -> str | None:
    """The token by which the engine reads the directory itself, if it can and may."""
    if session.client.address.scheme != "unix":
        return None
    from sampan.build import local

    where = os.path.abspath(directory)
    try:
        body = {"Directory": where, "Identity": local.identity(where)}
        return str(session.client.call("POST", "/sampan/build/contexts", None, body)["Token"])
    except (client_errors.ApiError, OSError):
        return None  # another machine's engine, another namespace, another program


def _loaded(session: Session, place: str) -> str:
    """The id of a layout's image, which the engine has from now on."""
    directory = place.partition("@")[0]
    if not os.path.isdir(directory):
        directory = directory.rpartition(":")[0]
    if not os.path.isfile(f"{directory}/oci-layout"):
        raise errors.InvalidArgument(f"{_LAYOUT}{place}: no OCI layout is there")
    headers = {"Content-Type": "application/x-tar"}
    pieces = building.packed(directory, "")
    response = session.client.stream("POST", "/images/load", None, pieces, headers)
    said = [str(message.get("stream", "")) for message in session.client.messages(response)]
    for text in said:
        if text.startswith("Loaded image"):
            return text.partition(": ")[2].strip()
    raise errors.InvalidArgument(f"{_LAYOUT}{place}: {''.join(said) or 'it has no image'}")


def registry_config(config: dict[str, Any]) -> dict[str, str]:
    """The X-Registry-Config header: all that config.json knows by heart."""
    import binascii
    import json

    found = {}
    for server in config.get("auths") or {}:
        entry = config_file.credentials(config, config_file.registry_key(server))
        if entry:
            found[server] = entry
    if not found:
        return {}
    text = binascii.b2a_base64(json.dumps(found).encode(), newline=False).decode()
    return {"X-Registry-Config": text.replace("+", "-").replace("/", "_")}
