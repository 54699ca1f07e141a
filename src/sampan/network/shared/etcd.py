"""A `NetworkStore` in etcd, for several hosts.

    gateway = Gateway(["https://192.0.2.1:2379"], patience=5)
    EtcdStore(gateway, prefix="/sampan/", ttl=60, hold=86400)

All keys are below one prefix, so that several sets of hosts can share an etcd.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from sampan.network.shared.store import Changes, Life, NetworkStore, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sampan.network.shared.etcd_gateway import Gateway

_MOST = 100  # operations of one transaction; etcd's --max-txn-ops is 128


class EtcdStore(NetworkStore):
    """`ttl`, `hold`: seconds that PRESENCE and ADDRESSES last without `keep`."""

    def __init__(self, gateway: Gateway, *, prefix: str, ttl: int, hold: int) -> None:
        self._gateway, self._prefix = gateway, prefix
        self._seconds = {Life.PRESENCE: ttl, Life.ADDRESSES: hold}
        self._leases: dict[Life, str] = {}

    async def join(self) -> None:
        for life, seconds in self._seconds.items():
            if life not in self._leases or not await self._alive(life):
                answer = await self._gateway.ask("/v3/lease/grant", {"TTL": seconds})
                self._leases[life] = answer["ID"]

    async def keep(self) -> None:
        for life in self._seconds:
            if not await self._alive(life):
                raise StoreUnavailable(f"etcd ended our lease ({life.value}): it heard too late")

    async def _alive(self, life: Life) -> bool:
        answer = await self._gateway.ask("/v3/lease/keepalive", {"ID": self._leases[life]})
        return int(answer.get("result", {}).get("TTL", 0)) > 0

    async def read(self) -> tuple[int, dict[str, str]]:
        answer = await self._gateway.ask("/v3/kv/range", self._everything())
        found = {self._name(kv): _text(kv.get("value", "")) for kv in answer.get("kvs", ())}
        return int(answer["header"]["revision"]), found

    async def changes(self, revision: int) -> AsyncIterator[tuple[int, Changes]]:
        request = {"create_request": {**self._everything(), "start_revision": revision + 1}}
        async for message in self._gateway.follow("/v3/watch", request):
            if message.get("canceled"):
                reason = message.get("cancel_reason") or "it has compacted what we missed"
                raise StoreUnavailable(f"etcd ended the watch: {reason}")
            found: Changes = {}
            for event in message.get("events", ()):
                gone = event.get("type") == "DELETE"
                kv = event["kv"]
                found[self._name(kv)] = None if gone else _text(kv.get("value", ""))
            if found:
                yield int(message["header"]["revision"]), found

    async def claim(self, values: Mapping[str, str], life: Life) -> bool:
        absent = [
            {"key": self._key(key), "target": "CREATE", "create_revision": "0"} for key in values
        ]
        ours = [
            {"key": self._key(key), "target": "VALUE", "value": _base64(text)}
            for key, text in values.items()
        ]
        return await self._write(values, life, absent) or await self._write(values, life, ours)

    async def _write(
        self, values: Mapping[str, str], life: Life, compare: Sequence[dict[str, str]]
    ) -> bool:
        puts = [{"request_put": self._put(*item, life)} for item in values.items()]
        answer = await self._gateway.ask("/v3/kv/txn", {"compare": compare, "success": puts})
        return bool(answer.get("succeeded"))

    async def put(self, values: Mapping[str, str], life: Life) -> None:
        items = list(values.items())
        for at in range(0, len(items), _MOST):
            await self._write(dict(items[at : at + _MOST]), life, ())

    async def delete(self, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), _MOST):
            parts = [{"request_delete_range": {"key": self._key(k)}} for k in keys[at : at + _MOST]]
            await self._gateway.ask("/v3/kv/txn", {"success": parts})

    async def leave(self) -> None:
        for life in list(self._leases):
            await self._gateway.ask("/v3/lease/revoke", {"ID": self._leases.pop(life)})

    async def close(self) -> None:
        await self._gateway.close()

    def _put(self, key: str, text: str, life: Life) -> dict[str, Any]:
        found = {"key": self._key(key), "value": _base64(text)}
        return found if life is Life.FOREVER else {**found, "lease": self._leases[life]}

    def _everything(self) -> dict[str, str]:
        end = self._prefix[:-1] + chr(ord(self._prefix[-1]) + 1)
        return {"key": _base64(self._prefix), "range_end": _base64(end)}

    def _key(self, key: str) -> str:
        return _base64(self._prefix + key)

    def _name(self, kv: dict[str, str]) -> str:
        return _text(kv["key"]).removeprefix(self._prefix)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _text(data: str) -> str:
    return base64.b64decode(data).decode()
