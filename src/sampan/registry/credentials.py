"""Who we are at a registry: `~/.docker/config.json`, containers' `auth.json`, helpers, a header.

    found = find("registry.example:5000")       Found(credentials, warnings)
    from_header(request.headers["X-Registry-Auth"])

A helper that is missing or fails becomes a warning and anonymous access: it must not break the pull
of a public image. Blocking (files, subprocesses): call through `in_thread`. Sources: docker's
config.json page, docker-credential-helpers' protocol, containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.registry.auth import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INDEX = "https://index.docker.io/v1/"  # what docker.io is called in these files
_TOKEN_USER = "<token>"  # a helper's way to say that the secret is an identity token
_HELPER_SECONDS = 30


class Found(Record):
    credentials: Credentials | None = None
    warnings: tuple[str, ...] = ()


def find(domain: str, files: Sequence[str] | None = None) -> Found:
    """Look through the files in order; the first that knows the registry answers.

    `domain` is a reference's: `docker.io`, `localhost:5000`.
    """
    warnings: list[str] = []
    for path in default_files() if files is None else files:
        try:
            with open(path, "rb") as file:
                config = json.load(file)
            credentials = _look(config, domain, warnings)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError) as error:
            warnings.append(f"credentials in {path} are passed over: {error}")
            continue
        if credentials is not None:
            return Found(credentials=credentials, warnings=tuple(warnings))
    return Found(warnings=tuple(warnings))


def default_files() -> list[str]:
    environment, home = os.environ, os.path.expanduser("~")
    docker = environment.get("DOCKER_CONFIG") or f"{home}/.docker"
    run = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    named = environment.get("REGISTRY_AUTH_FILE")
    others = [f"{docker}/config.json", f"{run}/containers/auth.json"]
    return [*([named] if named else []), *others, f"{home}/.config/containers/auth.json"]


def _look(config: dict[str, Any], domain: str, warnings: list[str]) -> Credentials | None:
    keys = list(_keys(domain))
    helpers = config.get("credHelpers") or {}
    named = next((helpers[key] for key in keys if helpers.get(key)), config.get("credsStore"))
    if named:
        for key in keys[:2]:
            found = _ask(named, key, warnings)
            if found is not None:
                return found
    entries = {_plain(key): value for key, value in (config.get("auths") or {}).items()}
    for key in keys:
        entry = entries.get(_plain(key))
        if entry:
            return from_entry(entry)
    return None


def _keys(domain: str) -> Iterator[str]:
    if domain == "docker.io":
        yield from (INDEX, "docker.io", "index.docker.io", "registry-1.docker.io")
        return
    yield domain
    yield f"https://{domain}"


def _plain(key: str) -> str:
    """Old files have URLs as keys; only their host counts, but for Docker Hub's."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return "index.docker.io" if host in ("docker.io", "registry-1.docker.io") else host


def from_entry(entry: dict[str, Any]) -> Credentials | None:
    """One entry of `auths`, or what a client sends. Raises ValueError where it is malformed."""
    username, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth"):
        text = base64.b64decode(entry["auth"], validate=False).decode().rstrip("\0")
        username, colon, password = text.partition(":")
        if not colon:
            raise ValueError("an 'auth' holds no user:password")
    credentials = Credentials(
        username=username,
        password=password,
        identity_token=entry.get("identitytoken") or "",
        registry_token=entry.get("registrytoken") or "",
    )
    return None if credentials == Credentials() else credentials


def _ask(helper: str, server: str, warnings: list[str]) -> Credentials | None:
    """Run `docker-credential-HELPER get`; its failure is a warning."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
        said = done.stdout.decode(errors="replace").strip()
        if done.returncode:
            if "credentials not found" not in said:
                warnings.append(f"{program} failed for {server}: {said or done.returncode}")
            return None
        answer = json.loads(said)
        username, secret = answer["Username"], answer["Secret"]
    except FileNotFoundError:
        warnings.append(f"the credential helper {program} is not installed; going on without it")
        return None
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as error:
        warnings.append(f"{program} gave no credentials for {server}: {error}")
        return None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username=username, password=secret)


def from_header(value: str) -> Credentials | None:
    """Docker's X-Registry-Auth: base64url of a JSON object. Raises InvalidArgument."""
    entry = _object("X-Registry-Auth", value)
    try:
        return from_entry(entry) if entry else None
    except (binascii.Error, ValueError, AttributeError) as error:
        raise errors.InvalidArgument(f"X-Registry-Auth is malformed: {error}") from error


def from_config_header(value: str) -> dict[str, Credentials]:
    """Docker's X-Registry-Config, registry → entry, by domain. Raises InvalidArgument."""
    found = {}
    for server, entry in _object("X-Registry-Config", value).items():
        try:
            known = from_entry(entry)
        except (binascii.Error, ValueError, AttributeError) as error:
            raise errors.InvalidArgument(f"X-Registry-Config: {server}: {error}") from error
        domain = _plain(server)
        if known is not None:
            found["docker.io" if domain == "index.docker.io" else domain] = known
    return found


def _object(header: str, value: str) -> dict[str, Any]:
    try:
        padded = value.replace("+", "-").replace("/", "_").rstrip("=")
        raw = base64.urlsafe_b64decode(padded + "=" * (-len(padded) % 4))
        entry = json.loads(raw) if value else {}
    except (binascii.Error, ValueError) as error:
        raise errors.InvalidArgument(f"{header} is malformed: {error}") from error
    if not (entry is None or isinstance(entry, dict)):
        raise errors.InvalidArgument(f"{header} is malformed: no JSON object")
    return entry or {}
