"""`sampan images`: the images."""

from __future__ import annotations

from sampan.cli import listing, units
from sampan.cli.common_options import FILTER, FORMAT, NO_TRUNC
from sampan.cli.options import Command, option
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="images",
    aliases=("image ls", "image list"),
    summary="List images",
    operands="[REPOSITORY[:TAG]]",
    at_most=1,
    options=(
        option("-a --all", "bool", "Show intermediate images, too"),
        option("--digests", "bool", "Show digests"),
        FILTER,
        FORMAT,
        NO_TRUNC,
        option("-q --quiet", "bool", "Show IDs alone"),
        option("--tree", "bool", "Show the platforms of each image"),
    ),
    completes="image",
)
NONE = "<none>"


class Row(Record):
    """One name of an image: an image with three names has three rows."""

    image: dict[str, Any]
    repository: str
    tag: str
    digest: str


def run(session: Session, args: Arguments) -> None:
    terms = dict(args["filter"])
    if args.operands:
        terms["reference"] = [*terms.get("reference", []), args.operands[0]]
    query = {
        "all": args["all"] or None,
        "filters": listing.filters(terms),
        "manifests": args["tree"] or None,
    }
    images = session.client.call("GET", "/images/json", query) or []
    if args["tree"]:
        from sampan.cli import image_platforms

        _alone(args, "tree")
        print(image_platforms.text(images, args["no-trunc"]), end="")
        return
    whole, format_ = args["no-trunc"], args["format"]
    digests = args["digests"] or ".Digest" in format_
    found = [row for image in images for row in rows(image, digests)]
    if args["quiet"] and not format_:
        for row in found:
            print(row.image["Id"] if whole else listing.short_id(row.image["Id"]))
        return
    columns = ["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"]
    if not args["digests"]:
        columns.remove("Digest")
    format_ = format_ or session.config.get("imagesFormat", "")
    listing.show(found, fields(whole), columns, format_)


def _alone(args: Arguments, name: str) -> None:
    for other in ("quiet", "digests", "format"):
        if args[other]:
            raise args.fail(f"--{name} and --{other} exclude each other", code=1)


def rows(image: dict[str, Any], digests: bool) -> list[Row]:
    """A row for each tag, with `digests` for each tag and digest; one for what has no name."""
    tags = [tag for tag in image.get("RepoTags") or () if tag != f"{NONE}:{NONE}"]
    by_name: dict[str, list[str]] = {}
    for reference in image.get("RepoDigests") or ():
        name, _, digest = reference.partition("@")
        if name != NONE:
            by_name.setdefault(name, []).append(digest)
    pairs = [tuple(reference.rpartition(":")[::2]) for reference in tags]
    if not pairs:
        pairs = [(name, NONE) for name in by_name] or [(NONE, NONE)]
    return [
        Row(image=image, repository=name, tag=tag, digest=digest)
        for name, tag in pairs
        for digest in (by_name.get(name, [NONE]) if digests else [NONE])
    ]


def fields(whole: bool) -> dict[str, tuple[str, Callable[[Row], Any]]]:
    return {
        "ID": ("IMAGE ID", lambda r: r.image["Id"] if whole else listing.short_id(r.image["Id"])),
        "Repository": ("REPOSITORY", lambda r: r.repository),
        "Tag": ("TAG", lambda r: r.tag),
        "Digest": ("DIGEST", lambda r: r.digest),
        "CreatedSince": ("CREATED", lambda r: units.ago(r.image.get("Created") or 0)),
        "CreatedAt": ("CREATED AT", lambda r: units.go_time(r.image.get("Created") or 0)),
        "Size": ("SIZE", lambda r: units.size(r.image.get("Size") or 0, 3)),
        "VirtualSize": ("SIZE", lambda r: units.size(r.image.get("Size") or 0)),
        "Containers": ("CONTAINERS", lambda r: _count(r.image.get("Containers"))),
        "SharedSize": ("SHARED SIZE", lambda r: _size(r.image.get("SharedSize"))),
        "UniqueSize": ("UNIQUE SIZE", _unique_size),
    }


def _count(value: int | None) -> str:
    return "N/A" if value is None or value < 0 else str(value)


def _size(value: int | None) -> str:
    return "N/A" if value is None or value < 0 else units.size(value)


def _unique_size(row: Row) -> str:
    shared = row.image.get("SharedSize")
    return _size(None if shared is None or shared < 0 else row.image["Size"] - shared)
