"""Events of images, with the image's labels, by which listeners may choose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sampan.engine.images import names

if TYPE_CHECKING:
    from sampan.engine.engine import Engine


def publish(engine: Engine, action: str, actor: str, name: str, **more: str) -> None:
    """`actor`: its id, or the name by which it was asked for."""
    row = names.row_of(engine.db, actor)
    labels = (json.loads(row["config"]).get("config") or {}).get("Labels") if row else None
    engine.events.publish("image", action, actor, {**(labels or {}), "name": name, **more})
