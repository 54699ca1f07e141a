"""What a name in FROM, `--from` and `from=` means: a stage, a named context, or an image."""

from __future__ import annotations

from sampan.build import files, running
from sampan.build.errors import DockerfileError
from sampan.build.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.dockerfile import Stage
    from sampan.build.files import Files
    from sampan.build.instructions.run_mount import Mount
    from sampan.build.solve import _Build


def image(build: _Build, name: str, platform: str) -> State:
    """FROM's; a named context may stand for another image."""
    given = _context(build, name)
    if isinstance(given, str):
        return build.image(given, platform)
    if given is not None:
        raise DockerfileError(f"the build context {name} is no image: FROM cannot start from it")
    return build.image(name, platform)


def _context(build: _Build, name: str) -> Files | str | None:
    """As the user gave it; the tag `latest` may be left out."""
    contexts = build.request.contexts
    return contexts.get(name) or contexts.get(name.removesuffix(":latest"))


def tree(build: _Build, name: str, stage: Stage) -> Files:
    found = _state_or_files(build, name, stage)
    return build.workshop.tree(found) if isinstance(found, State) else found


def _state_or_files(build: _Build, name: str, stage: Stage) -> State | Files:
    given = _context(build, name)
    if given is not None and not isinstance(given, str):
        return given
    known = None if given else build.file.find(name, before=stage.index)
    if known:
        return build.waited(known)
    if not given and any(name.lower() == later.name for later in build.file.stages):
        raise DockerfileError(
            f'cannot copy from stage "{name}": it has to be defined before "{stage.title}"'
        )
    return build.image(given or name, "")


def bind(build: _Build, mount: Mount, stage: Stage) -> running.Bind:
    found: State | Files = build.request.context
    if mount.origin:
        found = _state_or_files(build, mount.origin, stage)
    if isinstance(found, State):
        view = build.workshop.tree(found)
        place = _place(view, mount)
        return running.Bind(target=mount.target, state=found, files=view, place=place,
                            identity=f"{found.chain_id}/{place}")  # fmt: skip
    place = _place(found, mount)
    identity = files.digest(found, place)
    return running.Bind(target=mount.target, files=found, place=place, identity=identity)


def _place(view: Files, mount: Mount) -> str:
    place = files.resolve(view, mount.source)
    if place and view.entry(place) is None:
        raise DockerfileError(f'RUN --mount: "{mount.source}": no such file or directory')
    return place
