"""`config.json`, shared with other Docker clients: credentials, detach keys.

Credentials are looked up in `credHelpers`, `credsStore`, then `auths`. A helper that is missing or
fails never stops a public pull: it counts as having none.
"""

from __future__ import annotations

import os

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DOCKER_HUB = "https://index.docker.io/v1/"


def read(directory: str) -> dict[str, Any]:
    """Raises InvalidArgument where the file is there but is no JSON object."""
    path = os.path.join(directory, "config.json")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    from sampan.client import wirejson

    try:
        config = wirejson.loads(data) if data.strip() else {}
    except ValueError as error:
        raise errors.InvalidArgument(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise errors.InvalidArgument(f"{path} holds no JSON object")
    return config


def write(directory: str, config: dict[str, Any]) -> None:
    import json

    from sampan.kit import atomic

    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, "config.json")
    atomic.write(path, json.dumps(config, indent="\t").encode() + b"\n")


def registry_key(server: str) -> str:
    """A registry's name in `auths`."""
    host = server.removeprefix("https://").removeprefix("http://").split("/")[0]
    if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io"):
        return DOCKER_HUB
    return host


def registry_of(reference: str) -> str:
    """The registry that an image reference names, as `registry_key` writes it."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return registry_key(first)
    return DOCKER_HUB


def credentials(config: dict[str, Any], key: str) -> dict[str, str] | None:
    """`{"username", "password", "serveraddress"}` (or `identitytoken`); None if there are none."""
    helper = (config.get("credHelpers") or {}).get(key) or config.get("credsStore")
    if helper:
        found = _ask_helper(str(helper), key)
        if found:
            return found
    auths = config.get("auths") or {}
    entry = auths.get(key) or next(
        (value for name, value in auths.items() if registry_key(name) == key), None
    )
    return _from_entry(entry, key) if isinstance(entry, dict) else None


def _from_entry(entry: dict[str, Any], key: str) -> dict[str, str] | None:
    import binascii

    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            decoded = binascii.a2b_base64(entry["auth"]).decode()
        except (ValueError, UnicodeDecodeError):
            raise errors.InvalidArgument(
                f"config.json: the auth entry of {key} is not base64"
            ) from None
        username, _, password = decoded.partition(":")
    found = {"username": username, "password": password.strip("\0"), "serveraddress": key}
    if entry.get("identitytoken"):
        found["identitytoken"] = entry["identitytoken"]
    return found if username or "identitytoken" in found else None


def _ask_helper(helper: str, key: str) -> dict[str, str] | None:
    import subprocess

    from sampan.client import wirejson

    try:
        answer = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=key.encode(), capture_output=True,
            check=False,
        )  # fmt: skip
        found = wirejson.loads(answer.stdout) if answer.returncode == 0 else {}
    except (OSError, ValueError):
        return None
    if not found.get("Secret"):
        return None
    if found.get("Username") == "<token>":
        return {"identitytoken": found["Secret"], "serveraddress": key}
    return {
        "username": found.get("Username", ""), "password": found["Secret"], "serveraddress": key
    }  # fmt: skip


def registry_auth(config: dict[str, Any], reference: str) -> dict[str, str]:
    """The `X-Registry-Auth` header for an image: base64url of JSON; `{}` for anonymous."""
    import binascii

    from sampan.client import wirejson

    found = credentials(config, registry_of(reference)) or {}
    encoded = binascii.b2a_base64(wirejson.dumps(found).encode(), newline=False).decode()
    return {"X-Registry-Auth": encoded.replace("+", "-").replace("/", "_")}


def remember(directory: str, key: str, entry: dict[str, str]) -> None:
    """Keep credentials: with the helper that config.json names, else in config.json itself."""
    config = read(directory)
    helper = (config.get("credHelpers") or {}).get(key) or config.get("credsStore")
    if helper:
        _tell_helper(str(helper), "store", key, entry)
        return
    import binascii

    kept: dict[str, str] = {}
    if "password" in entry:
        pair = f"{entry['username']}:{entry['password']}".encode()
        kept["auth"] = binascii.b2a_base64(pair, newline=False).decode()
    if "identitytoken" in entry:
        kept["identitytoken"] = entry["identitytoken"]
    config.setdefault("auths", {})[key] = kept
    write(directory, config)


def forget(directory: str, key: str) -> bool:
    """Drop credentials; False where there were none."""
    config = read(directory)
    helper = (config.get("credHelpers") or {}).get(key) or config.get("credsStore")
    if helper:
        _tell_helper(str(helper), "erase", key, {})
    if key not in (config.get("auths") or {}):
        return bool(helper)
    del config["auths"][key]
    write(directory, config)
    return True


def _tell_helper(helper: str, verb: str, key: str, entry: dict[str, str]) -> None:
    """The credential helper protocol: `store` takes JSON, `erase` the server's name."""
    import json
    import subprocess

    secret = entry.get("identitytoken") or entry.get("password", "")
    user = "<token>" if entry.get("identitytoken") else entry.get("username", "")
    words = json.dumps({"ServerURL": key, "Username": user, "Secret": secret})
    program = f"docker-credential-{helper}"
    try:
        answer = subprocess.run(
            [program, verb], input=(words if verb == "store" else key).encode(),
            capture_output=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise errors.Unavailable(f"{program}: {(error.strerror or '').lower()}") from error
    if answer.returncode and verb == "store":
        said = answer.stdout.decode("utf-8", "replace").strip()
        raise errors.Unavailable(f"{program} could not store the credentials: {said}")
