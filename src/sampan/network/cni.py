"""The cni driver: a network that plugins make, by a configuration list of the administrator's.

    sampan network create -d cni -o conflist=/etc/cni/net.d/10-pods.conflist pods

The list is read anew at each ADD; DEL and CHECK use the list that the ADD used. Addresses are the
plugins' to give: `connect` says which they were. Published ports are the capability portMappings,
a MAC address that was asked for is mac, aliases are aliases; a plugin that does not declare a
capability is not told. What plugins keep on the host (a bridge, IPAM's files) is theirs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.linux import netlink
from sampan.network import cni_config, cni_plugins, errors
from sampan.network.cni_plugins import Attachment, Cached
from sampan.network.driver import Endpoint, Network, NetworkDriver

if TYPE_CHECKING:
    from collections.abc import Collection


class CniDriver(NetworkDriver):
    """`directory`: where results are kept, of this installation alone."""

    def __init__(self, directory: str) -> None:
        self._cache = cni_plugins.Cache(directory)

    def close(self) -> None:
        """Nothing is held."""

    async def ensure(self, network: Network) -> None:
        """That every plugin is there, and (CNI 1.1) says that it can."""
        await self.status(network)

    async def status(self, network: Network) -> tuple[str, ...]:
        """The plugins that were asked; none where the list is older than STATUS (CNI 1.1).

        Raises NetworkUnavailable in the words of the first that cannot.
        """
        plugins = _load(network)
        for plugin in plugins.plugins:
            cni_plugins.find(plugin["type"])
        if not plugins.at_least(1, 1, 0):
            return ()
        for plugin in plugins.plugins:
            await cni_plugins.run("STATUS", plugins.config(plugin), None)
        return tuple(plugin["type"] for plugin in plugins.plugins)

    def results(self, network: Network) -> list[Cached]:
        """What was added and not yet undone."""
        return list(self._cache.of(_load(network).name))

    async def remove(self, network: Network) -> None:
        await self.collect(network, ())

    async def connect(self, network: Network, endpoint: Endpoint, netns: int) -> Endpoint:
        plugins = _load(network)
        with netlink.Socket(netns=netns) as sock:
            sock.send(netlink.set_link("lo", up=True))
        attachment = _attachment(endpoint, f"/proc/{os.getpid()}/fd/{netns}")
        capabilities = _capabilities(endpoint)
        result: dict[str, Any] | None = None
        try:
            for plugin in plugins.plugins:
                config = plugins.config(plugin, result=result, capabilities=capabilities)
                result = await cni_plugins.run("ADD", config, attachment) or result
        except BaseException as failure:
            try:
                await self._delete(plugins, attachment, capabilities, result)
            except errors.NetworkUnavailable as e:
                failure.add_note(str(e))
            raise
        self._cache.put(
            Cached(
                plugins=plugins,
                attachment=attachment,
                capabilities=capabilities,
                result=result or {},
            )
        )
        return _connected(endpoint, result or {})

    async def disconnect(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        """Also of a container that has died (`netns` -1): addresses are given back."""
        where = f"/proc/{os.getpid()}/fd/{netns}" if netns >= 0 else ""
        attachment = _attachment(endpoint, where)
        cached = self._cache.get(_load(network).name, attachment)
        if cached is not None:
            await self._undo(cached, where)

    async def check(self, network: Network, endpoint: Endpoint, netns: int) -> bool:
        """Whether the list allows it (CHECK is of CNI 0.4 and may be switched off).

        Raises NetworkUnavailable in the words of the plugin that found something changed.
        """
        attachment = _attachment(endpoint, f"/proc/{os.getpid()}/fd/{netns}")
        cached = self._cache.get(_load(network).name, attachment)
        if cached is None:
            raise errors.NetworkUnavailable(
                f"container {endpoint.name} was never connected to network {network.name}"
            )
        plugins = cached.plugins
        if plugins.disable_check or not plugins.at_least(0, 4, 0):
            return False
        result = _moved(cached.result, cached.attachment.netns, attachment.netns)
        for plugin in plugins.plugins:
            config = plugins.config(plugin, result=result, capabilities=cached.capabilities)
            await cni_plugins.run("CHECK", config, attachment)
        return True

    async def collect(
        self, network: Network, living: Collection[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Undo what belongs to none of these (container, interface); GC where plugins know it.

        What was undone.
        """
        plugins = _load(network)
        gone = []
        for cached in self.results(network):
            key = (cached.attachment.container_id, cached.attachment.interface)
            if key not in living:
                await self._undo(cached, "")
                gone.append(key)
        if plugins.at_least(1, 1, 0) and not plugins.disable_gc:
            valid = [{"containerID": one, "ifname": name} for one, name in sorted(living)]
            for plugin in plugins.plugins:
                config = plugins.config({**plugin, "cni.dev/valid-attachments": valid})
                await cni_plugins.run("GC", config, None)
        return gone

    async def _undo(self, cached: Cached, netns: str) -> None:
        attachment = cached.attachment.replace(netns=netns)
        await self._delete(cached.plugins, attachment, cached.capabilities, cached.result)
        self._cache.forget(cached.plugins.name, attachment)

    async def _delete(
        self,
        plugins: cni_config.Plugins,
        attachment: Attachment,
        capabilities: dict[str, Any],
        result: dict[str, Any] | None,
    ) -> None:
        """From the last plugin to the first; all of them, also when one fails."""
        shown = result if plugins.at_least(0, 4, 0) else None
        failures = []
        for plugin in reversed(plugins.plugins):
            config = plugins.config(plugin, result=shown, capabilities=capabilities)
            try:
                await cni_plugins.run("DEL", config, attachment)
            except errors.NetworkUnavailable as e:
                failures.append(str(e))
        if failures:
            raise errors.NetworkUnavailable("; ".join(failures))


def _load(network: Network) -> cni_config.Plugins:
    if not network.conflist:
        raise errors.InvalidNetwork("a cni network needs its list of plugins: -o conflist=FILE")
    return cni_config.load(network.conflist)


def _attachment(endpoint: Endpoint, netns: str) -> Attachment:
    return Attachment(container_id=endpoint.container_id, interface=endpoint.interface, netns=netns)


def _capabilities(endpoint: Endpoint) -> dict[str, Any]:
    """The well-known ones (CNI's CONVENTIONS.md), for plugins that ask for them."""
    found: dict[str, Any] = {
        "portMappings": [
            {"hostIP": ip, "hostPort": outer, "containerPort": inner, "protocol": protocol}
            for ip, outer, inner, protocol in endpoint.ports
        ],
        "mac": endpoint.mac,
        "aliases": {endpoint.interface: list(endpoint.aliases)} if endpoint.aliases else {},
    }
    return {key: value for key, value in found.items() if value}


def _connected(endpoint: Endpoint, result: dict[str, Any]) -> Endpoint:
    """With the first address of each family that the plugins gave."""
    found: dict[str, Any] = {}
    for item in result.get("ips") or ():
        address, _, prefix = str(item["address"]).partition("/")
        name = ("ipv6", "prefix6") if ":" in address else ("ipv4", "prefix")
        if name[0] not in found:
            found |= {name[0]: address, name[1]: int(prefix or 0)}
    for item in result.get("interfaces") or ():
        if item.get("sandbox") and item.get("name") == endpoint.interface and item.get("mac"):
            found["mac"] = item["mac"]
    return endpoint.replace(**found)


def _moved(result: dict[str, Any], before: str, now: str) -> dict[str, Any]:
    """The same result; its interfaces are found under another path of the same namespace."""
    interfaces = [
        {**item, "sandbox": now} if item.get("sandbox") == before else item
        for item in result.get("interfaces") or ()
    ]
    return {**result, "interfaces": interfaces}
