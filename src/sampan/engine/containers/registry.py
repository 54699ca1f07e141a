"""All containers of the engine, by id, by name, by the start of an id.

They are few and small, so all are in memory; the database is written through. `start` takes over
what a former engine left (`reconcile`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import sized_layers
from sampan.engine.containers.container import Container
from sampan.engine.errors import AmbiguousId, NoSuchContainer
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.containers.exec import Exec
    from sampan.engine.engine import Engine


class Containers:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._by_id: dict[str, Container] = {}
        self._by_name: dict[str, Container] = {}
        self.execs: dict[str, Exec] = {}

    async def start(self) -> None:
        """Take over what a former engine left."""
        from sampan.engine.containers import reconcile

        for row in self.engine.db.rows("select * from containers"):
            self.add(Container(self.engine, row))
        await in_thread(sized_layers.mount_all, self.engine)
        await reconcile.reconcile(self.engine)

    async def stop(self) -> None:
        """Let go; everything runs on."""
        for container in self:
            if container.monitor is not None:
                container.monitor.close()

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, name: str) -> Container:
        """By id, by name (with or without its slash), or by the start of an id."""
        plain = name.removeprefix("/")
        found = self._by_id.get(name) or self._by_name.get(plain)
        if found is None and plain and not set(plain) - set("0123456789abcdef"):
            matches = [c for i, c in self._by_id.items() if i.startswith(plain)]
            if len(matches) > 1:
                raise AmbiguousId(name)
            found = matches[0] if matches else None
        if found is None:
            raise NoSuchContainer(name)
        return found

    def find(self, container_id: str) -> Container | None:
        return self._by_id.get(container_id)

    def by_name(self, name: str) -> Container | None:
        return self._by_name.get(name)

    def add(self, container: Container) -> None:
        self._by_id[container.id] = container
        self._by_name[container.name] = container

    def renamed(self, container: Container, old: str) -> None:
        del self._by_name[old]
        self._by_name[container.name] = container

    def forget(self, container: Container) -> None:
        self._by_id.pop(container.id, None)
        self._by_name.pop(container.name, None)
        for exec_id in container.execs:
            self.execs.pop(exec_id, None)
