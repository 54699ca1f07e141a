"""`/networks`: list, create, inspect, connect, disconnect, remove, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.dockerapi import shapes
from sampan.dockerapi.router import Call, Routes
from sampan.engine import network_configs, network_options, pools
from sampan.engine.containers import connecting
from sampan.engine.errors import NotPermitted
from sampan.kit import errors

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo

routes = Routes()

FILTERS = ("name", "id", "driver", "scope", "type", "label", "label!", "dangling")


def to_docker(engine: Engine, network: NetworkInfo, *, containers: bool = True) -> dict[str, Any]:
    configuration = network.spec.get("configuration")
    spec = network.spec
    if configuration:
        ipam = {"config": configuration["asked"], "options": configuration["ipam_options"]}
        spec = {**spec, **configuration, "ipam": ipam}
    found = {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": network.scope,
        "Driver": network.driver,
        "EnableIPv4": spec.get("ipv4", True),
        "EnableIPv6": spec.get("ipv6", False),
        "IPAM": {
            "Driver": "default",
            "Options": spec.get("ipam", {}).get("options"),
            "Config": [_pool(pool) for pool in spec.get("ipam", {}).get("config", [])],
        },
        "Internal": bool(spec.get("internal")),
        "Attachable": bool(spec.get("attachable")),
        "Ingress": False,
        "ConfigFrom": {"Network": spec.get("after", "")},
        "ConfigOnly": configuration is not None,
        "Containers": _containers(engine, network) if containers else {},
        "Options": _options(engine, network),
        "Labels": spec.get("labels") or {},
    }
    if peers := [{"Name": n, "IP": ip} for n, ip in engine.shared.peers(network.id)]:
        found["Peers"] = peers
    return found


def _options(engine: Engine, network: NetworkInfo) -> dict[str, str]:
    """The default bridge shows what dockerd's does: clients look for its name there."""
    given: dict[str, str] = network.spec.get("options") or {}
    if network.name != "bridge":
        return given
    prefix = network_options.BRIDGE
    return {
        f"{prefix}default_bridge": "true",
        f"{prefix}enable_icc": "true",
        f"{prefix}enable_ip_masquerade": "true",
        f"{prefix}host_binding_ipv4": engine.settings["ip"] or "0.0.0.0",
        f"{prefix}name": engine.paths.bridge,
        "com.docker.network.driver.mtu": "1500",
        **given,
    }


_POOL = {
    "Subnet": "subnet",
    "Gateway": "gateway",
    "IPRange": "ip_range",
    "AuxiliaryAddresses": "aux",
}


def _pool(pool: dict[str, Any]) -> dict[str, Any]:
    return {theirs: pool[ours] for theirs, ours in _POOL.items() if pool.get(ours)}


def _containers(engine: Engine, network: NetworkInfo) -> dict[str, Any]:
    rows = engine.db.rows(
        "select e.*, c.name from endpoints e join containers c on c.id = e.container_id"
        " where e.network_id = ? and c.status in ('running', 'paused')",
        (network.id,),
    )
    four, six = network.pool(4), network.pool(6)
    return {
        row["container_id"]: {
            "Name": row["name"],
            "EndpointID": row["id"],
            "MacAddress": row["mac"] or "",
            "IPv4Address": f"{row['address']}{four.suffix}" if four and row["address"] else "",
            "IPv6Address": f"{row['address6']}{six.suffix}" if six and row["address6"] else "",
        }
        for row in rows
    }


@routes.get("/networks")
@routes.get("/networks/")
async def list_(call: Call) -> web.StreamResponse:
    found = call.engine.networks.list(call.filters().accept(*FILTERS))
    return call.json([to_docker(call.engine, network, containers=False) for network in found])


@routes.post("/networks/create")
async def create(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.NETWORK)
    if not body.get("Name"):
        raise errors.InvalidArgument("invalid name: name is empty")
    ipam = body.get("IPAM") or {}
    asked = [_asked(pool) for pool in ipam.get("Config") or []]
    ipv4, ipv6 = body.get("EnableIPv4") is not False, bool(body.get("EnableIPv6"))
    words: dict[str, Any] = {
        "ipam_options": ipam.get("Options"),
        "asked": asked,
        "ipv4": ipv4,
        "ipv6": ipv6,
        "internal": bool(body.get("Internal")),
        "attachable": bool(body.get("Attachable")),
        "options": body.get("Options") or {},
        "labels": body.get("Labels") or {},
    }
    after = str((body.get("ConfigFrom") or {}).get("Network") or "")
    if body.get("ConfigOnly"):
        if after:
            raise NotPermitted(
                "a configuration network cannot depend on another configuration network"
            )
        configuration = call.engine.networks.create_configuration(body["Name"], words)
        return call.json({"Id": configuration.id, "Warning": ""}, 201)
    if after:
        words = network_configs.after(call.engine, after, words)
    network = await call.engine.networks.create(
        body["Name"], driver=body.get("Driver") or "bridge", after=after, **words
    )
    warning = pools.ignored(asked, ipv4=ipv4, ipv6=ipv6)
    return call.json({"Id": network.id, "Warning": warning}, 201)


def _asked(pool: dict[str, Any]) -> dict[str, Any]:
    return {ours: pool[theirs] for theirs, ours in _POOL.items() if pool.get(theirs)}


@routes.post("/networks/prune")
async def prune(call: Call) -> web.StreamResponse:
    filters = call.filters().accept("label", "label!", "until")
    removed = await call.engine.networks.prune(filters)
    return call.json({"NetworksDeleted": removed or None})


@routes.get("/networks/{name}")
async def inspect(call: Call) -> web.StreamResponse:
    return call.json(to_docker(call.engine, call.engine.networks.get(call["name"])))


@routes.delete("/networks/{name}")
async def remove(call: Call) -> web.StreamResponse:
    await call.engine.networks.remove(call["name"])
    return call.empty()


@routes.post("/networks/{name}/connect")
async def connect(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.CONNECT)
    await connecting.connect(
        call.engine, call["name"], body.get("Container") or "", body.get("EndpointConfig") or {}
    )
    return call.empty(200)


@routes.post("/networks/{name}/disconnect")
async def disconnect(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.DISCONNECT)
    await connecting.disconnect(
        call.engine, call["name"], body.get("Container") or "", force=bool(body.get("Force"))
    )
    return call.empty(200)
