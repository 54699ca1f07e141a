"""TEMPORARY stand-in."""

from __future__ import annotations

from typing import Any


def profile(capabilities: list[str]) -> dict[str, Any]:
    return {}


def resolve(profile: dict[str, Any], capabilities: list[str]) -> dict[str, Any]:
    return profile
