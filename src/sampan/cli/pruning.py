"""The prune commands: tell what would go and how much room it takes, ask, prune, tell what went."""

from __future__ import annotations

import re
import sys

from sampan.cli import disk_usage, listing, units
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

    Terms = dict[str, list[str]]

_ANONYMOUS = re.compile("[0-9a-f]{64}")  # the name of a volume that nobody named


class Kind(Record):
    path: str
    deleted: str  # the answer's member
    title: str
    described: Callable[[Arguments], str]
    terms: Callable[[Arguments, Terms], Terms]

    def warning(self, args: Arguments) -> str:
        return f"WARNING! This will remove {self.described(args)}.\n"

    def prune(self, session: Session, args: Arguments) -> int:
        """Prune and print what was deleted; the bytes that became free."""
        terms = self.terms(args, dict(args["filter"]))
        query = {"filters": listing.filters(terms)}
        answer = session.client.call("POST", self.path, query) or {}
        deleted = answer.get(self.deleted) or []
        if deleted:
            print(self.title)
            for item in deleted:
                print(_shown(item))
            print()
        return int(answer.get("SpaceReclaimed") or 0)


def _shown(item: str | dict[str, str]) -> str:
    if isinstance(item, str):
        return item
    return f"deleted: {item['Deleted']}" if "Deleted" in item else f"untagged: {item['Untagged']}"


def _as_given(args: Arguments, terms: Terms) -> Terms:
    return terms


def _images(args: Arguments, terms: Terms) -> Terms:
    return {"dangling": ["false" if args["all"] else "true"], **terms}


def _volumes(args: Arguments, terms: Terms) -> Terms:
    every = args["all"] and args.command.name == "volume prune"
    return {**terms, "all": ["true"]} if every else terms


CONTAINER = Kind(
    path="/containers/prune",
    deleted="ContainersDeleted",
    title="Deleted Containers:",
    described=lambda args: "all stopped containers",
    terms=_as_given,
)
NETWORK = Kind(
    path="/networks/prune",
    deleted="NetworksDeleted",
    title="Deleted Networks:",
    described=lambda args: "all networks not used by at least one container",
    terms=_as_given,
)
VOLUME = Kind(
    path="/volumes/prune",
    deleted="VolumesDeleted",
    title="Deleted Volumes:",
    described=lambda args: (
        "all volumes not used by at least one container"
        if args.command.name == "volume prune" and args["all"]
        else "anonymous volumes not used by at least one container"
    ),
    terms=_volumes,
)
IMAGE = Kind(
    path="/images/prune",
    deleted="ImagesDeleted",
    title="Deleted Images:",
    described=lambda args: (
        "all images without at least one container associated to them"
        if args["all"]
        else "all dangling images"
    ),
    terms=_images,
)


BUILD_CACHE = Kind(
    path="/build/prune",
    deleted="CachesDeleted",
    title="Deleted build cache objects:",
    described=lambda args: "unused build cache",
    terms=lambda args, terms: {},
)


def confirmed(session: Session, args: Arguments, warning: str, *kinds: Kind) -> bool:
    """Whether to go on: `--force`, or a yes to what would be freed."""
    if args["force"]:
        return True
    if kinds and not args["filter"]:
        freed = freeable(session.client.call("GET", "/system/df") or {}, args, kinds)
        warning += f"That frees about {units.size(freed)}.\n"
    sys.stdout.write(f"{warning}Are you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    answer = sys.stdin.readline().strip().lower()
    if answer in ("y", "yes"):
        return True
    if not sys.stdin.isatty():
        print()
    return False


def freeable(found: dict[str, Any], args: Arguments, kinds: Collection[Kind]) -> int:
    """Bytes of what `/system/df` tells and these kinds would remove; no filters."""
    size = 0
    stay = found.get("Containers") or []
    if CONTAINER in kinds:
        stopped = [c for c in stay if c.get("State") in ("created", "exited", "dead")]
        stay = [c for c in stay if c not in stopped]
        size += sum(map(disk_usage.of_container, stopped))
    if IMAGE in kinds:
        used = {container.get("ImageID") for container in stay}
        for image in found.get("Images") or ():
            if image["Id"] not in used and (args["all"] or not image.get("RepoTags")):
                size += disk_usage.of_image_alone(image)
    if VOLUME in kinds:
        every = args.command.name == "volume prune" and args["all"]
        for volume in found.get("Volumes") or ():
            usage = volume["UsageData"]
            if not usage["RefCount"] and (every or _ANONYMOUS.fullmatch(volume["Name"])):
                size += max(usage["Size"], 0)
    if BUILD_CACHE in kinds:
        size += sum(
            record.get("Size") or 0
            for record in found.get("BuildCache") or ()
            if not (record.get("Shared") or record.get("InUse"))
            and record.get("Type") != "exec.cachemount"
        )
    return size


def total(size: int) -> None:
    print(f"Total reclaimed space: {units.size(size)}")
