"""What a name in FROM, `--from` and `from=` means: a stage, a named context, or an image."""

from __future__ import annotations

import functools

from sampan.build import copying, files, instructions, parser, running, state
from sampan.build.errors import DockerfileError
from sampan.build.instructions.copy import Copy
from sampan.build.state import State
from sampan.kit import errors
from sampan.spec import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.dockerfile import Stage
    from sampan.build.files import Files
    from sampan.build.instructions.run_mount import Mount
    from sampan.build.solve import _Build


def image(build: _Build, name: str, platform: str) -> State:
    """FROM's; a named context may stand for another image, or be the files of one."""
    given = _context(build, name, platform)
    if given is None or isinstance(given, str):
        return _image(build, given or name, platform)
    return _of_files(build, name, given)


def _image(build: _Build, name: str, platform: str) -> State:
    if name == "scratch":  # docker-image://scratch
        return state.scratch(build.request.platform, state.moment(build.request.epoch or 0))
    return build.image(name, platform)


def _of_files(build: _Build, name: str, given: Files) -> State:
    step = instructions.parse(parser.line("COPY / /"))
    assert isinstance(step, Copy)
    whole = [copying.Part(files=given, whole=True)]
    members = copying.plan(step, whole, files.NOTHING, directory="/", owner=None)
    write = functools.partial(copying.write, members)
    layer = build.workshop.store(write, latest=build.request.epoch)
    made = _image(build, "scratch", "").noting(f"FROM {name}", layer)
    build.workshop.stacked(made)
    return made


def _context(build: _Build, name: str, platform: str = "") -> Files | str | None:
    """As the user gave it: for this platform, or any. Source: frontend/dockerui/namedcontext.go."""
    contexts = build.request.contexts
    if not contexts:
        return None
    wanted = platform or str(build.request.platform)
    names = [name, _familiar(name)]
    keys = [f"{one}::{wanted}" for one in names] + names
    return next((contexts[key] for key in keys if key in contexts), None)


def _familiar(name: str) -> str:
    try:
        return reference.familiar(name.lower()).removesuffix(":latest")
    except errors.InvalidArgument:
        return name


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
            f'cannot copy from stage "{name}", it needs to be defined before current stage'
            f' "{stage.title}"'
        )
    return _image(build, given or name, "")


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
