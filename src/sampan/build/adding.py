"""ADD's sources: files of the context, archives that are unpacked, URLs and git repositories."""

from __future__ import annotations

import tempfile

from sampan.build import copying, files, globbing, remote
from sampan.build.context import Context
from sampan.build.errors import DockerfileError
from sampan.image import compress, tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.build.files import Files
    from sampan.build.instructions.add import Add

_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_HEAD = 512


def parts(
    step: Add, context: Files, scratch: str, note: Callable[[str, str], object]
) -> list[copying.Part]:
    """`note` is told the addresses that something came from, with its digest."""
    if step.checksum and len(step.sources) != 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    found: list[copying.Part] = []
    for source in step.sources:
        if remote.is_git(source):
            keep = bool(step.keep_git_dir)
            tree = remote.clone(source, scratch, keep_git_dir=keep, commit=step.checksum, note=note)
            found.append(copying.Part(files=tree, whole=True))
        elif remote.is_url(source):
            found.append(_fetched(step, source, scratch, note))
        else:
            found += _local(step, source, context, scratch)
    return found


def _fetched(
    step: Add, source: str, scratch: str, note: Callable[[str, str], object]
) -> copying.Part:
    tree = remote.fetch(source, scratch)
    (name,) = tree.children("")
    note(source, f"sha256:{tree.digest(name).hex()}")
    if step.checksum:
        algorithm, _, wanted = step.checksum.partition(":")
        if algorithm != "sha256" or not wanted:
            raise DockerfileError(f'unsupported checksum "{step.checksum}": try sha256:…')
        actual = tree.digest(name).hex()
        if actual != wanted:
            raise DockerfileError(f"{source}: its digest is sha256:{actual}, not {step.checksum}")
    if step.unpack:
        unpacked = _unpacked(tree, name, scratch)
        if unpacked is not None:
            return _archive(unpacked)
    return copying.Part(files=tree, pattern=name)


def _local(step: Add, source: str, context: Files, scratch: str) -> list[copying.Part]:
    if step.checksum:
        raise DockerfileError("checksum can't be specified for local sources")
    if step.unpack is False:
        return [copying.Part(files=context, pattern=source)]
    found = []
    for place in globbing.matches(context, source):
        unpacked = _unpacked(context, files.resolve(context, place), scratch)
        if unpacked is None:
            found.append(copying.Part(files=context, pattern=place, literal=True))
        else:
            found.append(_archive(unpacked))
    return found


def _archive(tree: Context) -> copying.Part:
    return copying.Part(files=tree, whole=True, unpacked=True, implied=tree.implied)


def _unpacked(tree: Files, place: str, scratch: str) -> Context | None:
    """The tree that an archive holds; None for a file that is none."""
    entry = tree.entry(place)
    if entry is None or entry.kind != tar.REGULAR or not entry.size:
        return None
    start = files.beginning(tree, place, _HEAD)
    if start[257:262] != b"ustar" and not start.startswith(_PACKED):
        return None
    with tempfile.TemporaryFile(dir=scratch) as packed:
        tree.copy(place, packed.write)
        packed.seek(0)
        plain = compress.decompress(compress.chunks(packed))
        try:
            return Context(tempfile.TemporaryFile(dir=scratch), plain)  # closed with the tree
        except (tar.TarError, compress.Corrupt):
            if start[257:262] == b"ustar":
                raise
            return None  # something compressed, but no archive: it is copied as it is
