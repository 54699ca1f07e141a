"""What a build has made, and what becomes of it: images, archives, trees.

    outcome = Outcome(workshop, options, built, facts)
    made = await outcome.assembled(output)          documents, in the store
    await outcome.register(made, names); await outcome.push(made, output, …)
    outcome.archive(made, output), outcome.tree(output)

All is under the build's lease until the build ends.
"""

from __future__ import annotations

import base64
import json
import tempfile
from typing import TYPE_CHECKING

from sampan.build import files, provenance
from sampan.engine.builds import assembly, cache_exports
from sampan.engine.images import archives, happened, parents, push, register
from sampan.image import archive, attestation, tar
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sampan.build.files import Files
    from sampan.build.output_options import Output
    from sampan.engine.builds.assembly import Assembled, Built
    from sampan.engine.builds.options import Options
    from sampan.engine.builds.workshop import Workshop
    from sampan.engine.images import Report
    from sampan.image.attestation import Predicate
    from sampan.registry.auth import Credentials

    Write = Callable[[bytes], object]


class Outcome:
    def __init__(
        self,
        workshop: Workshop,
        options: Options,
        built: Sequence[Built],
        facts: provenance.Facts,
    ) -> None:
        self.workshop, self.options, self.built, self._facts = workshop, options, built, facts
        self.engine, self.lease = workshop.engine, workshop.lease

    # -- documents

    async def assembled(self, output: Output) -> Assembled:
        return await in_thread(self._assembled, output)

    def _assembled(self, output: Output) -> Assembled:
        built = self.built
        if output.type == "docker" and len(built) > 1:
            raise errors.InvalidArgument(
                "an archive of type docker has one platform: type=oci takes several"
            )
        if self.options.carries_cache:
            caching = self.workshop.caching
            built = [one.replace(state=cache_exports.inline(caching, one.state)) for one in built]
        return assembly.assemble(
            self.lease.store,
            built,
            output,
            predicates=self._predicates(output),
            based_on=self.workshop.based_on,
        )

    def _predicates(self, output: Output) -> dict[str, list[Predicate]]:
        wanted = self.options.provenance
        if wanted is None or not _goes_with(wanted, output):
            return {}
        host = str(oci_image.host_platform())
        said = provenance.predicate(wanted, self._facts, builder=host)
        return {str(one.platform): [said] for one in self.built}

    # -- images

    async def register(self, made: Assembled, names: Sequence[str]) -> str:
        """Make it one of the engine's, under these names; its id."""
        engine, main = self.engine, made.main
        found = [one.state for one in self.built if one.platform == main.platform]
        base = parents.base(engine.db, found[0].document)
        image_id = await register.register(
            engine, self.lease, main.manifest["digest"], names,
            target=made.target["digest"], parent=base, built=True,
        )  # fmt: skip
        for name in names:
            happened.publish(engine, "tag", image_id, reference.familiar(name))
        return image_id

    async def push(
        self, made: Assembled, output: Output, name: str, *,
        credentials: Credentials | None, report: Report,
    ) -> None:  # fmt: skip
        await push.send(
            self.engine, self.lease, name, made.target["digest"],
            by_digest=output.by_digest, credentials=credentials, report=report,
        )  # fmt: skip

    # -- what goes to the client

    def archive(self, made: Assembled, output: Output) -> AsyncIterator[bytes]:
        saved = [archive.Saved(digest=made.target["digest"], names=output.names)]
        store = self.lease.store
        return archives.produced(lambda write: archive.save(store, saved, write))

    def tree(self, output: Output) -> Files:
        """The files of all platforms, and what is said about them. Blocking."""
        split = len(self.built) > 1 if output.split is None else output.split
        said = {} if self._inline() else self._predicates(output)
        trees: list[tuple[str, Files]] = []
        for one in self.built:
            name = str(one.platform).replace("/", "_")
            tree = self.workshop.tree(one.state)
            parts = [tree]
            for predicate in said.get(str(one.platform), ()):
                parts.append(self._file(predicate, tree, name if not split else ""))
            trees += [(name if split else "", part) for part in parts]
        return files.Joined(trees) if len(trees) > 1 or split else trees[0][1]

    def _inline(self) -> bool:
        return self.options.provenance is None or self.options.provenance.inline_only

    def _file(self, predicate: Predicate, tree: Files, platform: str) -> Files:
        """The statement's subjects are the tree's files."""
        stem, dot, end = predicate.filename.rpartition(".")
        several = platform if len(self.built) > 1 else ""
        name = f"{stem}.{several}{dot}{end}" if several else predicate.filename
        about = [
            attestation.subject(path, f"sha256:{tree.digest(path).hex()}")
            for path in files.below(tree)
            if (entry := tree.entry(path)) is not None and entry.kind == tar.REGULAR
        ]
        data = attestation.statement(predicate, about)
        with tempfile.NamedTemporaryFile(dir=self.workshop.scratch, delete=False) as file:
            file.write(data)
        entry = tar.Entry(name, mode=0o600, size=len(data))
        return files.Single(entry, file.name)

    def tarball(self, output: Output) -> AsyncIterator[bytes]:
        """The same as a tar. Blocking."""
        tree = self.tree(output)
        return archives.produced(lambda write: _write_tar(tree, write))


def _goes_with(wanted: provenance.Wanted, output: Output) -> bool:
    """Where nobody asked in so many words, only what leaves this engine as an OCI image has it."""
    if output.attests_inline is not None:
        return output.attests_inline
    if not wanted.inline_only:
        return True
    return output.oci and (output.push or output.type == "oci")


def _write_tar(tree: Files, write: Write) -> None:
    writer = tar.Writer(write)
    for path in files.below(tree):
        entry = tree.entry(path)
        if entry is None:
            continue
        entry.name = path
        writer.begin(entry)
        if entry.kind == tar.REGULAR and entry.size:
            tree.copy(path, write)
            writer.pad(entry.size)
    writer.finish()


def told(made: Assembled, names: Sequence[str]) -> dict[str, str]:
    """What BuildKit's exporters answer."""
    descriptor = {**made.target}
    if len(made.images) == 1 and made.target == made.images[0].manifest:
        descriptor["platform"] = assembly.platform_of(made.images[0].platform)
    answer = {
        "containerimage.config.digest": made.main.image_id,
        "containerimage.descriptor": base64.b64encode(json.dumps(descriptor).encode()).decode(),
        "containerimage.digest": str(made.target["digest"]),
    }
    if names:
        answer["image.name"] = ",".join(names)
    return answer
