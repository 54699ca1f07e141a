"""Engines by name, in Docker's own files, so that both programs read each other's.

    ~/.docker/contexts/meta/ID/meta.json          {"Name", "Metadata", "Endpoints": {"docker": …}}
    ~/.docker/contexts/tls/ID/docker/{ca,cert,key}.pem

ID is the SHA-256 of the name. `default` is no file: the engine that is used without a name. Which
one is in use is `currentContext` in config.json. An exported context is a tar of `meta.json` and
`tls/docker/…`; Docker also reads and writes zip.
"""

from __future__ import annotations

import os

from sampan.client import address, wirejson
from sampan.client.tunnel import Tls
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

DEFAULT = "default"
FILES = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")
_MAX_FILE = 1 << 20


class ContextNotFound(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f'context "{name}": context not found')


class Endpoint(Record):
    host: str
    tls: Tls | None


class Context(Record):
    name: str
    host: str
    description: str = ""
    skip_verify: bool = False
    tls: dict[str, bytes] = {}  # "ca", "cert", "key"
    document: dict[str, Any] = {}  # meta.json as it is: what others keep there stays

    def meta(self) -> dict[str, Any]:
        """As meta.json has it."""
        document = dict(self.document)
        metadata = dict(document.get("Metadata") or {})
        metadata.pop("Description", None)
        if self.description:
            metadata["Description"] = self.description
        endpoints = dict(document.get("Endpoints") or {})
        endpoints["docker"] = {"Host": self.host, "SkipTLSVerify": self.skip_verify}
        return {**document, "Name": self.name, "Metadata": metadata, "Endpoints": endpoints}


def check_name(name: str) -> None:
    if name == DEFAULT:
        raise errors.InvalidArgument('"default" is a reserved context name')
    if len(name) < 2 or not name[0].isalnum() or not set(name) <= _CHARACTERS:
        raise errors.InvalidArgument(
            f'context name "{name}" is invalid, names are validated against regexp '
            '"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"'
        )


class Store:
    def __init__(self, config_dir: str) -> None:
        self._top = os.path.join(config_dir, "contexts")

    def names(self) -> list[str]:
        found = []
        meta = f"{self._top}/meta"
        for ident in os.listdir(meta) if os.path.isdir(meta) else ():
            if os.path.exists(f"{meta}/{ident}/meta.json"):
                found.append(str(_read_meta(f"{meta}/{ident}/meta.json").get("Name") or ident))
        return sorted(found)

    def get(self, name: str) -> Context:
        path = f"{self.meta_path(name)}/meta.json"
        if not os.path.exists(path):
            raise ContextNotFound(name)
        files = {}
        for key, file in FILES.items():
            place = f"{self.tls_path(name)}/docker/{file}"
            if os.path.exists(place):
                with open(place, "rb") as opened:
                    files[key] = opened.read()
        return _from_meta(name, _read_meta(path), files)

    def endpoint(self, name: str) -> Endpoint:
        """What a client connects to."""
        context = self.get(name)
        tls = None
        if context.host.startswith("tcp:") and (context.tls or context.skip_verify):
            place = f"{self.tls_path(name)}/docker"
            files = {key: f"{place}/{FILES[key]}" for key in context.tls}
            tls = Tls(**files, verify=not context.skip_verify)
        return Endpoint(host=context.host, tls=tls)

    def write(self, context: Context) -> None:
        from sampan.kit import atomic

        check_name(context.name)
        address.parse(context.host)
        place, tls = self.meta_path(context.name), f"{self.tls_path(context.name)}/docker"
        os.makedirs(place, mode=0o755, exist_ok=True)
        for key, file in FILES.items():
            if key in context.tls:
                os.makedirs(tls, mode=0o700, exist_ok=True)
                atomic.write(f"{tls}/{file}", context.tls[key])
            elif os.path.exists(f"{tls}/{file}"):
                os.unlink(f"{tls}/{file}")
        atomic.write(f"{place}/meta.json", wirejson.dumps(context.meta()).encode())

    def remove(self, name: str) -> None:
        import shutil

        shutil.rmtree(self.meta_path(name))
        shutil.rmtree(self.tls_path(name), ignore_errors=True)

    def meta_path(self, name: str) -> str:
        return f"{self._top}/meta/{_ident(name)}"

    def tls_path(self, name: str) -> str:
        return f"{self._top}/tls/{_ident(name)}"


def _ident(name: str) -> str:
    import hashlib

    return hashlib.sha256(name.encode()).hexdigest()


def _read_meta(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        return _parse_meta(file.read(), path)


def _parse_meta(data: bytes, where: str) -> dict[str, Any]:
    try:
        found = wirejson.loads(data)
    except ValueError as error:
        raise errors.InvalidArgument(f"{where} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise errors.InvalidArgument(f"{where} holds no JSON object")
    return found


def _from_meta(name: str, meta: Mapping[str, Any], tls: dict[str, bytes]) -> Context:
    endpoint = (meta.get("Endpoints") or {}).get("docker") or {}
    return Context(
        name=name,
        host=str(endpoint.get("Host") or ""),
        description=str((meta.get("Metadata") or {}).get("Description") or ""),
        skip_verify=bool(endpoint.get("SkipTLSVerify")),
        tls=tls,
        document=dict(meta),
    )


# ---- exported


def pack(context: Context, out: BinaryIO) -> None:
    """Write the context as a tar."""
    import io
    import tarfile

    members = {"meta.json": wirejson.dumps(context.meta()).encode()}
    members |= {f"tls/docker/{FILES[key]}": data for key, data in context.tls.items()}
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644 if name == "meta.json" else 0o600
            tar.addfile(info, io.BytesIO(data))


def unpack(name: str, data: bytes) -> Context:
    """What `pack`, or docker, has written; under the name that it shall have here."""
    members = _unzip(data) if data[:2] == b"PK" else _untar(data)
    if "meta.json" not in members:
        raise errors.InvalidArgument("this is no exported context: it has no meta.json")
    tls = {}
    for path, content in members.items():
        key = next((k for k, file in FILES.items() if path == f"tls/docker/{file}"), "")
        if key:
            tls[key] = content
        elif path != "meta.json":
            raise errors.InvalidArgument(f"an exported context may not hold {path!r}")
    return _from_meta(name, _parse_meta(members["meta.json"], "its meta.json"), tls)


def _untar(data: bytes) -> dict[str, bytes]:
    import io
    import tarfile

    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None and member.size <= _MAX_FILE:
                    found[member.name] = content.read()
    except tarfile.TarError as error:
        raise errors.InvalidArgument(f"this is no exported context: {error}") from error
    return found


def _unzip(data: bytes) -> dict[str, bytes]:
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                info.filename: archive.read(info)
                for info in archive.infolist()
                if not info.is_dir() and info.file_size <= _MAX_FILE
            }
    except zipfile.BadZipFile as error:
        raise errors.InvalidArgument(f"this is no exported context: {error}") from error
