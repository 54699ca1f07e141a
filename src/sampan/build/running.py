"""RUN as a process: what is executed, with which environment, and the key its result has."""

from __future__ import annotations

import posixpath

from sampan.build import cache, heredoc
from sampan.build.errors import DockerfileError
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.build.instructions.run import Run
    from sampan.build.instructions.run_mount import Mount
    from sampan.build.state import State


class CommandFailed(errors.InvalidArgument):
    def __init__(self, args: tuple[str, ...], code: int) -> None:
        self.command, self.code = args, code
        super().__init__(f"The command '{' '.join(args)}' returned a non-zero code: {code}")


class Process(Record):
    args: tuple[str, ...]
    env: dict[str, str]
    proxies: Mapping[str, str]  # in the environment, never in the key
    arguments: dict[str, str]  # declared ARGs, for the history
    user: str
    directory: str
    network: str
    mounts: tuple[Mount, ...] = ()

    def key(self, chain_id: str | None) -> str:
        return cache.key(
            "run",
            below=chain_id,
            args=self.args,
            env=self.env,
            user=self.user,
            directory=self.directory,
            network=self.network,
            mounts=[(m.type, m.target, m.id, m.read_only) for m in self.mounts],
        )

    def told(self) -> str:
        shown = [f"{name}={value}" for name, value in sorted(self.arguments.items())]
        head = f"|{len(shown)} {' '.join(shown)} " if shown else ""
        return head + " ".join(self.args)


def process_of(
    step: Run,
    state: State,
    arguments: dict[str, str],
    proxies: Mapping[str, str],
    network: str,
) -> Process:
    if step.devices or step.security != "sandbox":
        raise errors.Unsupported("RUN --device and --security=insecure are not supported yet")
    directory = state.inner.get("WorkingDir") or "/"
    return Process(
        args=_args(step, state),
        env={**arguments, **state.env},
        proxies=proxies,
        arguments=arguments,
        user=state.inner.get("User") or "",
        directory=directory,
        network=network if step.network == "default" else step.network,
        mounts=tuple(_mount(mount, directory) for mount in step.mounts),
    )


def _mount(mount: Mount, directory: str) -> Mount:
    """With the place it has in the step."""
    if mount.type not in ("cache", "tmpfs"):
        raise errors.Unsupported(f"RUN --mount=type={mount.type} is not supported yet")
    if mount.origin or mount.source:
        raise errors.Unsupported(
            f"RUN --mount=type={mount.type} with from or source is not supported yet"
        )
    target = posixpath.normpath(posixpath.join("/", directory, mount.target))
    if not mount.target or target == "/":
        raise DockerfileError(f'invalid mount target "{mount.target}"')
    return mount.replace(target=target)


def _args(step: Run, state: State) -> tuple[str, ...]:
    if not step.shell:
        return step.args
    text = step.args[0] if step.args else ""
    if not step.files:
        return (*state.shell, text)
    if len(step.files) == 1 and heredoc.parse(text.strip()):
        if step.files[0].content.startswith("#!"):
            raise errors.Unsupported("RUN with a heredoc that begins with #! is not supported yet")
        return (*state.shell, step.files[0].body)
    # The shell reads them itself: `RUN cat <<A >x`.
    pieces = [f"\n{found.content}{found.name}" for found in step.files]
    return (*state.shell, text + "".join(pieces))
