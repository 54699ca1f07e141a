"""Every group of routes, put together. A new group is one import and one entry here."""

from __future__ import annotations

from sampan.dockerapi import (
    archives,
    build,
    buildkit,
    containers,
    disk,
    images,
    networks,
    own_builds,
    own_images,
    own_networks,
    own_system,
    own_volumes,
    plugins,
    registries,
    streams,
    system,
    volumes,
)
from sampan.dockerapi.router import Routes

GROUPS = (
    system,
    containers,
    archives,
    streams,
    disk,
    images,
    registries,
    build,
    buildkit,
    own_builds,
    own_images,
    own_system,
    networks,
    volumes,
    plugins,
    own_networks,
    own_volumes,
)


def all_routes() -> Routes:
    together = Routes()
    together.merge(*(group.routes for group in GROUPS))
    return together
