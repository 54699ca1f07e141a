"""Where a build's files come from: the tar stream of the request, git, or an address."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from sampan.build import digests, files, ignore, local, remote, walking
from sampan.build.context import Context
from sampan.image import compress, tar
from sampan.kit import collector, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sampan.build.files import Files

INSIDE = ".sampan-contexts"  # the directory of a context's tar that named contexts travel in
_IMAGE = "docker-image://"


def streamed(stream: Iterator[bytes], scratch: str) -> Context:
    spool = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 (it lives as long as the context)
    return Context(spool, compress.decompress(stream))


@collector.paused()
def lying(root: str, directory: str, dockerfile: str) -> local.Directory:
    """A directory of this machine, where it lies."""
    known = digests.kept(root, directory)
    matcher = walking.matcher(directory, dockerfile)
    return local.Directory(directory, matcher, walking.needed(dockerfile), known)


@collector.paused()
def saved(root: str, context: local.Directory) -> None:
    """What was read of it the next build need not read."""
    context.save()
    digests.shrink(root)


def fetched(
    address: str, scratch: str, note: Callable[[str, str], object] = lambda address, digest: None
) -> Files:
    """A repository, or a file behind http: an archive, or a Dockerfile that needs no others."""
    if remote.is_git(address):
        return remote.clone(address, scratch, note=note)
    if not remote.is_url(address):
        raise errors.InvalidArgument(f"{address}: a remote context is a git or http address")
    single = remote.fetch(address, scratch)
    (name,) = single.children("")
    note(address, f"sha256:{single.digest(name).hex()}")
    with tempfile.TemporaryFile(dir=scratch) as packed:
        single.copy(name, packed.write)
        packed.seek(0)
        try:
            return streamed(compress.chunks(packed), scratch)
        except (tar.TarError, compress.Corrupt):
            return single.named("Dockerfile")


def named(context: Files, given: Mapping[str, str], scratch: str) -> dict[str, Files | str]:
    """`--build-context`: an image by name, a repository, or a directory or tar that came along."""
    found: dict[str, Files | str] = {}
    for name, value in given.items():
        if value.startswith(_IMAGE):
            found[name] = value.removeprefix(_IMAGE)
        elif value.startswith("local:"):
            inside = f"{INSIDE}/{value.removeprefix('local:')}"
            entry = context.entry(inside)
            if entry is None or entry.kind not in (tar.DIRECTORY, tar.REGULAR):
                raise errors.InvalidArgument(f"the build context {name} did not come along")
            packed = entry.kind == tar.REGULAR
            whole = files.Subtree(context, inside)
            found[name] = _unpacked(context, inside, name, scratch) if packed else whole
        else:
            found[name] = remote_named(value, scratch)
    return found


def remote_named(address: str, scratch: str) -> Files:
    """A repository, or what is behind http as the one file `context`, as BuildKit has it."""
    if remote.is_git(address):
        return remote.clone(address, scratch)
    return remote.fetch(address, scratch).named("context")


def _unpacked(context: Files, place: str, name: str, scratch: str) -> Files:
    with tempfile.TemporaryFile(dir=scratch) as packed:
        context.copy(place, packed.write)
        packed.seek(0)
        try:
            return streamed(compress.chunks(packed), scratch)
        except (tar.TarError, compress.Corrupt) as error:
            raise errors.InvalidArgument(f"the build context {name} is no tar: {error}") from error


def ignored(context: Files, dockerfile: str) -> ignore.Matcher | None:
    """What `Dockerfile.dockerignore`, or else `.dockerignore`, leaves behind."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        if context.entry(name) is not None:
            return ignore.Matcher(ignore.read(files.text(context, name)))
    return None


def visible(context: Files, matcher: ignore.Matcher | None) -> Files:
    patterns = [INSIDE, *(matcher.patterns if matcher else ())]
    if matcher is None and context.entry(INSIDE) is None:
        return context
    return files.Filtered(context, ignore.Matcher(patterns))


def dockerfile(context: Files, path: str) -> str:
    (only,) = context.children("") if isinstance(context, files.Single) else ("",)
    lower = path.lower() if path == "Dockerfile" and context.entry(path) is None else ""
    try:
        return files.text(context, only or lower or path)
    except errors.NotFound:
        raise errors.InvalidArgument(
            f"Cannot locate specified Dockerfile: {path}: it is not in the build context"
        ) from None
