"""What to build, and what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.image import content


class Recipe(Record):
    source: str  # "debian:12", "debian:bookworm", "ubuntu:24.04", "busybox"
    include: tuple[str, ...] = ()  # packages
    run: tuple[str, ...] = ()  # shell commands, in the new file system, after the packages
    mirror: str = ""  # URI; "" takes the host's own
    config: dict[str, Any] = {}  # of the image config's `config`: Cmd, Env, ExposedPorts, …
    tags: tuple[str, ...] = ()
    cache: str = ""  # directory; "" is under SAMPAN_ROOT


class Result(Record):
    image_id: str  # digest of the config
    digest: str  # of the manifest


class Workshop(Record):
    """Where a bootstrap works, and who hears of it."""

    store: content.FileStore
    cache: str  # directory
    say: Callable[[str], object]


class Layer(Record):
    """One layer in the store, and how it came to be."""

    descriptor: dict[str, Any]
    diff_id: str
    created_by: str


class Base(Record):
    """Layers, base first, with what they say about an image of them."""

    layers: tuple[Layer, ...]
    created: int  # seconds since 1970
    environment: tuple[str, ...] = (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    )
    command: tuple[str, ...] = ("bash",)
