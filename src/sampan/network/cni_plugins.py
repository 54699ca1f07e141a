"""Running CNI plugins, and the cache of what they answered, in libcni's format.

A plugin is a program: the verb and the container in its environment, its configuration on stdin, a
result or an error as JSON on stdout (CNI 1.1, section 2). A cached result is a file
NETWORK-CONTAINER-INTERFACE with the configuration that made it, so that DEL undoes what ADD did,
whatever the file says by now.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import TYPE_CHECKING, Any

from sampan.kit import atomic
from sampan.kit.record import Record
from sampan.network import cni_config, errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DIRECTORIES = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
_KIND = "cniCacheV1"


class Attachment(Record):
    """One interface of one container, as plugins hear of it."""

    container_id: str
    interface: str
    netns: str = ""  # a path; "" where it has gone


class Cached(Record):
    plugins: cni_config.Plugins
    attachment: Attachment
    capabilities: dict[str, Any]
    result: dict[str, Any]


def find(kind: str) -> str:
    """The program of a plugin. Raises InvalidNetwork."""
    for directory in DIRECTORIES:
        path = os.path.join(directory, kind)
        if os.access(path, os.X_OK):
            return path
    raise errors.InvalidNetwork(
        f"there is no CNI plugin {kind} in {', '.join(DIRECTORIES)} "
        "(Debian, Ubuntu: apt install containernetworking-plugins)"
    )


async def run(command: str, config: Mapping[str, Any], attachment: Attachment | None) -> Any:
    """One plugin's answer, None for no words. Raises NetworkUnavailable with the plugin's own."""
    kind = config["type"]
    environment = {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "CNI_COMMAND": command,
        "CNI_PATH": ":".join(DIRECTORIES),
    }
    if attachment is not None:
        environment["CNI_CONTAINERID"] = attachment.container_id
        environment["CNI_IFNAME"] = attachment.interface
        environment["CNI_NETNS"] = attachment.netns
    process = await asyncio.create_subprocess_exec(
        find(kind),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate(json.dumps(config).encode())
    try:
        answer = json.loads(output) if output.strip() else None
    except ValueError:
        answer, complaints = None, output + complaints
    if process.returncode:
        raise errors.NetworkUnavailable(
            f"CNI plugin {kind}, {command} for network {config['name']}: "
            f"{_words(answer, complaints)}"
        )
    return answer


def _words(answer: Any, complaints: bytes) -> str:
    """Section 5 of the standard: msg, and details where there are some."""
    if isinstance(answer, dict) and answer.get("msg"):
        return "; ".join(str(answer[key]) for key in ("msg", "details") if answer.get(key))
    return complaints.decode(errors="replace").strip() or "it failed without a word"


class Cache:
    """Files below `directory`/results, as libcni keeps them in /var/lib/cni."""

    def __init__(self, directory: str) -> None:
        self._directory = f"{directory}/results"

    def put(self, cached: Cached) -> None:
        plugins, attachment = cached.plugins, cached.attachment
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        document = {
            "kind": _KIND,
            "containerId": attachment.container_id,
            "config": base64.b64encode(plugins.text.encode()).decode(),
            "ifName": attachment.interface,
            "networkName": plugins.name,
            "netns": attachment.netns,
            "capabilityArgs": cached.capabilities,
            "result": cached.result,
        }
        path = self._path(plugins.name, attachment)
        atomic.write(path, json.dumps(document).encode(), mode=0o600)

    def get(self, name: str, attachment: Attachment) -> Cached | None:
        """None where it was never added, or the file is damaged."""
        return self._read(self._path(name, attachment))

    def forget(self, name: str, attachment: Attachment) -> None:
        try:
            os.unlink(self._path(name, attachment))
        except FileNotFoundError:
            pass

    def of(self, name: str) -> Iterator[Cached]:
        """Every attachment to this network."""
        try:
            files = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return
        for file in files:
            found = self._read(f"{self._directory}/{file}")
            if found is not None and found.plugins.name == name:
                yield found

    def _path(self, name: str, attachment: Attachment) -> str:
        return f"{self._directory}/{name}-{attachment.container_id}-{attachment.interface}"

    def _read(self, path: str) -> Cached | None:
        try:
            with open(path) as file:
                document = json.load(file)
            if document.get("kind") != _KIND:
                return None
            text = base64.b64decode(document["config"]).decode()
            return Cached(
                plugins=cni_config.parse(text, path),
                attachment=Attachment(
                    container_id=document["containerId"],
                    interface=document["ifName"],
                    netns=document.get("netns", ""),
                ),
                capabilities=document.get("capabilityArgs") or {},
                result=document.get("result") or {},
            )
        except (OSError, ValueError, KeyError, errors.InvalidNetwork):
            return None
