"""Legacy links of the default bridge (`--link TARGET:ALIAS`): names, variables, /etc/hosts.

`HostConfig.Links` holds "ID:ALIAS", so that a renamed target stays linked; users see
"/target:/container/alias". On user-defined networks a link is an alias that only this container
knows, which the embedded name server answers (`engine/name_servers.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine import places, units
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine

_NOT_TOLD = ("HOME", "PATH")  # variables of the target that say nothing about its service


def parse(text: str) -> tuple[str, str]:
    """(target, alias) of `target`, `target:alias` or `/target:/container/alias`."""
    if not text:
        raise errors.InvalidArgument("empty string specified for links")
    parts = text.split(":")
    if len(parts) > 2:
        raise errors.InvalidArgument(f"bad format for links: {text}")
    target = parts[0].removeprefix("/")
    return target, parts[-1].rpartition("/")[2]


def resolve(engine: Engine, host: dict[str, Any]) -> None:
    """At create: the targets must exist; their ids are kept.

    On a user-defined network they may come later: there a link is a name alone.
    """
    asked = [parse(text) for text in host.get("Links") or ()]
    if _user_defined(host):
        return
    found = []
    for name, alias in asked:
        try:
            target = engine.containers.get(name)
        except errors.NotFound as error:
            raise errors.InvalidArgument(f"could not get container for {name}: {error}") from error
        if (target.host_config.get("NetworkMode") or "") == "host":
            raise errors.InvalidArgument(
                "conflicting options: host type networking can't be used with links. This would "
                "result in undefined behavior"
            )
        found.append(f"{target.id}:{alias}")
    host["Links"] = found or None


def _user_defined(host: dict[str, Any]) -> bool:
    mode = str(host["NetworkMode"])
    return mode not in ("bridge", "host", "none") and not mode.startswith("container:")


def of(container: Container) -> Iterator[tuple[Container, str]]:
    """(target, alias) of each legacy link whose target still exists."""
    if _user_defined(container.host_config):
        return
    for text in container.host_config.get("Links") or ():
        target_id, alias = parse(text)
        target = container.engine.containers.find(target_id)
        if target is not None:
            yield target, alias


def shown(container: Container) -> list[str] | None:
    """As `inspect` has it."""
    found = [f"/{t.name}:/{container.name}/{alias}" for t, alias in of(container)]
    return sorted(found) or None


def names_of(target: Container) -> list[str]:
    """What others call it: `/container/alias`."""
    return [
        f"/{container.name}/{alias}"
        for container in target.engine.containers
        for found, alias in of(container)
        if found is target
    ]


def remove(container: Container, alias: str) -> None:
    """Docker's `DELETE /containers/{container}/{alias}?link=1`."""
    links = container.host_config.get("Links") or []
    kept = [text for text in links if parse(text)[1] != alias]
    if len(kept) == len(links):
        raise errors.NotFound(f"No such link: /{container.name}/{alias}")
    container.host_config["Links"] = kept or None
    container.save_settings()


def hosts(container: Container) -> Iterator[tuple[str, str]]:
    """(names, address) for /etc/hosts. Raises InvalidArgument for a target that does not run."""
    for target, alias in of(container):
        hostname = target.config.get("Hostname") or target.id[:12]
        names = [alias, hostname, *([target.name] if alias != target.name else [])]
        yield " ".join(names), _address(container, target, alias)


def environment(container: Container) -> list[str]:
    """The variables that tell a container about its links; its own win over them."""
    found = []
    for target, alias in of(container):
        prefix = alias.replace("-", "_").upper()
        address = _address(container, target, alias)
        ports = sorted(units.port(spec) for spec in target.config.get("ExposedPorts") or ())
        if ports:
            number, protocol = ports[0]
            found.append(f"{prefix}_PORT={protocol}://{address}:{number}")
        for number, protocol in ports:
            name = f"{prefix}_PORT_{number}_{protocol.upper()}"
            found += [
                f"{name}={protocol}://{address}:{number}",
                f"{name}_ADDR={address}",
                f"{name}_PORT={number}",
                f"{name}_PROTO={protocol}",
            ]
        found.append(f"{prefix}_NAME=/{container.name}/{alias}")
        for variable in target.config.get("Env") or ():
            name, equals, value = variable.partition("=")
            if equals and name not in _NOT_TOLD:
                found.append(f"{prefix}_ENV_{name}={value}")
    return found


def _address(container: Container, target: Container, alias: str) -> str:
    if not target.running:
        raise errors.InvalidArgument(
            f"Cannot link to a non running container: /{target.name} AS /{container.name}/{alias}"
        )
    found = (p for p in places.of(target) if p.network.name == "bridge")
    return next((p.endpoint.ipv4 for p in found), "")
