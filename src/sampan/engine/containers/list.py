"""`list`: containers as `docker ps` shows them, with all its filters."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from sampan.engine import oci, published_ports
from sampan.engine.containers import inspect, links, mounts, usage
from sampan.engine.health import STARTING
from sampan.engine.images import names, parents
from sampan.kit import clock, errors

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.filters import Filters
    from sampan.engine.health import Health

STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
HEALTH = ("none", "starting", "healthy", "unhealthy")
FILTERS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label",
    "label!", "name", "network", "publish", "since", "status", "volume",
)  # fmt: skip


async def containers(
    engine: Engine,
    filters: Filters,
    *,
    all_: bool = False,
    limit: int | None = None,
    size: bool = False,
) -> list[dict[str, Any]]:
    """Newest first. `limit` and some filters imply `all_`, as in Docker."""
    filters.accept(*FILTERS)
    _check(filters)
    stopped_too = all_ or bool(limit and limit > 0) or "status" in filters or "exited" in filters
    chosen = sorted(engine.containers, key=lambda c: c.created, reverse=True)
    chosen = _between(engine, chosen, filters)
    chosen = [c for c in chosen if (stopped_too or c.running) and _fits(c, filters)]
    if limit and limit > 0:
        chosen = chosen[:limit]
    found = [summary(container) for container in chosen]
    if size:
        for container, line in zip(chosen, found, strict=True):
            line |= await usage.document(container)
    return found


def _check(filters: Filters) -> None:
    """Values that mean nothing, in dockerd's words."""
    for status in filters.get("status"):
        if status not in STATUSES:
            raise errors.InvalidArgument(f"invalid filter 'status={status}'")
    for health in filters.get("health"):
        if health not in HEALTH:
            raise errors.InvalidArgument(f"invalid filter 'health={health}'")
    for code in filters.get("exited"):
        if not re.fullmatch(r"[+-]?\d+", code):
            raise errors.InvalidArgument(
                f"invalid filter 'exited={code}': strconv.Atoi: parsing \"{code}\": invalid syntax"
            )
    filters.flag("is-task")


def _between(engine: Engine, found: list[Container], filters: Filters) -> list[Container]:
    for name in filters.get("before"):
        mark = engine.containers.get(name).created
        found = [c for c in found if c.created < mark]
    for name in filters.get("since"):
        mark = engine.containers.get(name).created
        found = [c for c in found if c.created > mark]
    return found


def _fits(container: Container, filters: Filters) -> bool:
    return (
        filters.prefix("id", container.id)
        and filters.match("name", container.name, f"/{container.name}")
        and filters.labels(container.labels)
        and filters.exact("status", container.status)
        and filters.exact("health", container.health.status if container.health else "none")
        and filters.exact("exited", _exit_code(container))
        and _fits_image(container, filters)
        and _fits_volume(container, filters)
        and _fits_network(container, filters)
        and _fits_ports(container, filters)
    )


def _exit_code(container: Container) -> str:
    return str(container.exit_code) if container.status == "exited" else ""


def _fits_image(container: Container, filters: Filters) -> bool:
    if "ancestor" not in filters:
        return True
    engine = container.engine
    made_of = set(parents.line(engine.db, container.image_id))
    for name in filters.get("ancestor"):
        try:
            if engine.images.get(name).id in made_of:
                return True
        except errors.SampanError:
            continue
    return False


def _fits_volume(container: Container, filters: Filters) -> bool:
    places = [point["Destination"] for point in container.mounts]
    places += [point.get("Name") or point["Source"] for point in container.mounts]
    return filters.exact("volume", *places)


def _fits_network(container: Container, filters: Filters) -> bool:
    if "network" not in filters:
        return True
    names = [*container.networking]
    for name in container.networking:
        try:
            names.append(container.engine.networks.get(name).id)
        except errors.SampanError:
            continue
    return filters.exact("network", *names) or any(
        filters.prefix("network", name) for name in names if len(name) == 64
    )


def _fits_ports(container: Container, filters: Filters) -> bool:
    def inside(wanted: list[str], have: set[tuple[int, str]]) -> bool:
        for text in wanted:
            numbers, _, protocol = text.partition("/")
            first, _, last = numbers.partition("-")
            for port, kind in have:
                if kind == (protocol or "tcp") and int(first) <= port <= int(last or first):
                    return True
        return not wanted

    published, exposed = set(), set()
    for binding in published_ports.of(container):
        published.add((binding.host_port, binding.protocol))
    for spec in container.config.get("ExposedPorts") or ():
        number, _, protocol = spec.partition("/")
        exposed.add((int(number), protocol or "tcp"))
    try:
        return inside(filters.get("publish"), published) and inside(
            filters.get("expose"), exposed | published
        )
    except ValueError:
        raise errors.InvalidArgument("invalid port specification in a filter") from None


def summary(container: Container) -> dict[str, Any]:
    """One line of `docker ps`."""
    command = oci.command(container.config)
    return {
        "Id": container.id,
        "Names": [f"/{container.name}", *links.names_of(container)],
        "Image": _image(container),
        "ImageID": container.image_id,
        "Command": " ".join(_quoted(word) for word in command),
        "Created": clock.parse(container.created) // 1_000_000_000,
        "Ports": port_list(container),
        "Labels": container.labels,
        "State": container.status,
        "Status": status(container),
        "HostConfig": {"NetworkMode": container.network_mode(), **_annotations(container)},
        "NetworkSettings": {"Networks": inspect.network_settings(container)["Networks"]},
        "Mounts": mounts.shown(container),
    }


def _image(container: Container) -> str:
    """As the user wrote it, while that still means the same; then the id."""
    row = names.row_of(container.engine.db, container.image_ref)
    return container.image_ref if row and row["id"] == container.image_id else container.image_id


def _annotations(container: Container) -> dict[str, Any]:
    found = container.host_config.get("Annotations")
    return {"Annotations": found} if found else {}


def _quoted(word: str) -> str:
    return f"'{word}'" if re.search(r"\s", word) else word


def port_list(container: Container) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for spec, entries in inspect.ports(container).items():
        number, _, protocol = spec.partition("/")
        base = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        if not entries:
            found.append(base)
        for entry in entries or ():
            found.append({"IP": entry["HostIp"], **base, "PublicPort": int(entry["HostPort"])})
    return found


def status(container: Container) -> str:
    """`Up 5 minutes`, `Exited (0) 3 hours ago`, as Docker words it."""
    state = container.status
    if state in ("running", "paused"):
        up = f"Up {duration(_seconds_since(container.started_at))}"
        if state == "paused":
            return f"{up} (Paused)"
        return f"{up} ({_health(container.health)})" if container.health else up
    if state == "restarting":
        ago = duration(_seconds_since(container.finished_at))
        return f"Restarting ({container.exit_code}) {ago} ago"
    if state == "exited":
        ago = duration(_seconds_since(container.finished_at))
        return f"Exited ({container.exit_code}) {ago} ago"
    return {"created": "Created", "dead": "Dead", "removing": "Removal In Progress"}[state]


def _health(health: Health) -> str:
    return "health: starting" if health.status == STARTING else health.status


def _seconds_since(when: str) -> float:
    return max(0.0, (time.time_ns() - clock.parse(when)) / 1e9)


def duration(seconds: float) -> str:
    """Go-units' HumanDuration."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes, hours = whole // 60, round(whole / 3600)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = whole // 86400
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    return f"{days // 30} months" if days < 730 else f"{days // 365} years"
