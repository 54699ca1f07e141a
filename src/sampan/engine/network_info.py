"""A network as its row says it, and what follows from that.

A start asks for its networks a dozen times, and most of the answer is parsing of JSON and of
addresses. So what follows from a row is kept, and found by all that the row says: one that has
changed is another one, and nobody has to be told. What is handed out is shared; leave it as it is.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from sampan.engine import pools
from sampan.kit.record import Record

if TYPE_CHECKING:
    from sampan.engine.pools import Pool

KEPT = 1024  # networks


class NetworkInfo(Record):
    id: str
    name: str
    driver: str  # bridge, host, null
    created: str
    written: str  # `spec` as JSON

    @property
    def spec(self) -> dict[str, Any]:
        """ipam: {config: [{subnet, gateway, …}]}, options, labels, internal, …"""
        return _read(self.written)

    def with_spec(self, spec: dict[str, Any]) -> NetworkInfo:
        return self.replace(written=json.dumps(spec))

    def pool(self, version: int) -> Pool | None:
        """Its addresses of this family."""
        return _pool(self.written, version)

    @property
    def scope(self) -> str:
        """Docker's word: of one host, or of all that share a network store."""
        return "global" if self.spec.get("shared") else "local"


@functools.lru_cache(KEPT)
def _read(written: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written)
    return found


@functools.lru_cache(2 * KEPT)
def _pool(written: str, version: int) -> Pool | None:
    return pools.of(_read(written), version)
