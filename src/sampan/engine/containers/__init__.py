"""Containers: one file per verb, gathered by `Containers`."""

from sampan.engine.containers.registry import Containers

__all__ = ["Containers"]
