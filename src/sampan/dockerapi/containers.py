"""Routes under /containers."""

from __future__ import annotations

from sampan.dockerapi.router import Routes

routes = Routes()
