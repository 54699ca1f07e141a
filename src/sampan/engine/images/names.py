"""Images by name: what `run` needs of them. Pull, push, build and prune stand beside this file.

image = images.get("busybox")        NoSuchImage, with Docker's sentence
image.config["config"]["Cmd"]        the OCI image config
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sampan.engine.errors import AmbiguousId, NoSuchImage
from sampan.kit.record import Record

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{4,64}")


class Image(Record):
    id: str  # digest of the config
    manifest: str
    chain_id: str | None  # None: it has no layers
    config: dict[str, Any]  # OCI image config


class Images:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> Image:
        """The image that a tag, a digest reference, an id or the start of one names."""
        db = self._engine.db
        full = familiar_to_full(name)
        row = db.row(
            "select i.* from images i join names n on n.image_id = i.id where n.name = ?", (full,)
        )
        if row is None and _ID.fullmatch(name):
            prefix = name if name.startswith("sha256:") else f"sha256:{name}"
            rows = db.rows("select * from images where id glob ? limit 2", (prefix + "*",))
            if len(rows) > 1:
                raise AmbiguousId(name)
            row = rows[0] if rows else None
        if row is None:
            raise NoSuchImage(with_tag(name))
        return Image(
            id=row["id"],
            manifest=row["manifest"],
            chain_id=row["chain_id"],
            config=_config(row["id"], row["config"]),
        )


@lru_cache(64)
def _config(image_id: str, text: str) -> dict[str, Any]:
    """Configs are immutable; a run should not parse the same one again."""
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def with_tag(name: str) -> str:
    """`busybox` → `busybox:latest`, as Docker names it in errors."""
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def familiar_to_full(name: str) -> str:
    """`busybox` → `docker.io/library/busybox:latest`."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return with_tag(name)
