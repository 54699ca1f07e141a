"""`images --tree`: each image with the platforms that its name stands for."""

from __future__ import annotations

from sampan.cli import listing, units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADER = ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "IN USE"]


def text(images: list[dict[str, Any]], whole: bool) -> str:
    rows = [HEADER]
    for image in images:
        rows += _image(image, whole)
    return listing.table(rows)


def _image(image: dict[str, Any], whole: bool) -> list[list[str]]:
    names = [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]
    members = [m for m in image.get("Manifests") or () if m["Kind"] == "image"]
    content = sum(member["Size"]["Content"] for member in members)
    total = sum(member["Size"]["Total"] for member in members) or image["Size"]
    used = any(member["ImageData"]["Containers"] for member in members)
    rows = [[name, *(("",) * 4)] for name in names[:-1]]
    rows.append([(names or ["<untagged>"])[-1], *_cells(image["Id"], total, content, used, whole)])
    for number, member in enumerate(members, 1):
        rows.append(_member(member, "└─" if number == len(members) else "├─", whole))
    return rows


def _member(member: dict[str, Any], branch: str, whole: bool) -> list[str]:
    platform = member["ImageData"]["Platform"]
    words = (platform["os"], platform["architecture"], platform.get("variant") or "")
    shown = f"{branch} {'/'.join(filter(None, words))}"
    ident = member["ID"] if whole else listing.short_id(member["ID"])
    if not member["Available"]:
        return [shown, ident, "-", "-", ""]
    size = member["Size"]
    used = bool(member["ImageData"]["Containers"])
    return [shown, *_cells(member["ID"], size["Total"], size["Content"], used, whole)]


def _cells(ident: str, total: int, content: int, used: bool, whole: bool) -> list[str]:
    shown = ident if whole else listing.short_id(ident)
    return [shown, units.size(total, 3), units.size(content, 3), "yes" if used else ""]
