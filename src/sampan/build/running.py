"""RUN as a process: what is executed, with which environment, and the key its result has."""

from __future__ import annotations

import posixpath

from sampan.build import explain, heredoc
from sampan.build.errors import DockerfileError
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.build.files import Files
    from sampan.build.instructions.run import Run
    from sampan.build.instructions.run_device import Device
    from sampan.build.instructions.run_mount import Mount
    from sampan.build.state import State


class CommandFailed(errors.InvalidArgument):
    def __init__(self, args: tuple[str, ...], code: int) -> None:
        self.command, self.code = args, code
        super().__init__(f"The command '{' '.join(args)}' returned a non-zero code: {code}")


SCRIPT = "/dev/pipes/"  # where BuildKit has it, too


class Bind(Record):
    """A place in a tree, of a stage or image if it has a state: what a mount of type bind shows,
    and what one of type cache begins with."""

    target: str
    files: Files
    place: str
    identity: str
    state: State | None = None


class Process(Record):
    args: tuple[str, ...]
    env: dict[str, str]
    proxies: Mapping[str, str]  # in the environment, never in the key
    arguments: dict[str, str]  # declared ARGs, for the history
    user: str
    directory: str
    network: str
    mounts: tuple[Mount, ...] = ()
    binds: Mapping[int, Bind] = {}  # by the mount's number: of those of type bind, with from
    script: bytes = b""  # what a heredoc with #! is, at SCRIPT
    insecure: bool = False
    devices: tuple[Device, ...] = ()
    epoch: int | None = None  # no file of the layer is younger, seconds

    def parts(self, chain_id: str | None) -> explain.Parts:
        devices = [(device.name, device.required) for device in self.devices]
        return explain.Parts(
            kind="run",
            parts={
                "below": chain_id,
                "args": self.args,
                "env": self.env,
                "user": self.user,
                "directory": self.directory,
                "network": self.network,
                # Not what a secret says or an agent signs: a new one makes no new result.
                "mounts": [
                    (
                        m.type,
                        m.target,
                        m.cache_key if m.type == "cache" else m.id,
                        m.read_only,
                        m.env,
                    )
                    for m in self.mounts
                ],
                "binds": [bind.identity for bind in self.binds.values()],
                "script": self.script.hex(),
                "insecure": self.insecure,
                "epoch": self.epoch,
                **({"devices": devices} if devices else {}),
            },
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
    directory = state.inner.get("WorkingDir") or "/"
    return Process(
        args=_args(step, state),
        script=_script(step),
        insecure=step.security == "insecure",
        devices=step.devices,
        env={**state.env, **arguments},
        proxies=proxies,
        arguments=arguments,
        user=state.inner.get("User") or "",
        directory=directory,
        network=network if step.network == "default" else step.network,
        mounts=_mounts(step.mounts, directory),
    )


def _mounts(mounts: tuple[Mount, ...], directory: str) -> tuple[Mount, ...]:
    """With the places that they have in the step."""
    agents = 0
    found = []
    for mount in mounts:
        if mount.type == "ssh":
            mount = mount.replace(
                id=mount.id or "default",
                target=mount.target or f"/run/buildkit/ssh_agent.{agents}",
            )
            agents += 1
        elif mount.type == "secret":
            ident = mount.secret
            only_env = mount.env is not None and not mount.target
            place = "" if only_env else mount.target or f"/run/secrets/{ident}"
            mount = mount.replace(id=ident, target=place)
            if only_env:
                found.append(mount)
                continue
        elif mount.type == "tmpfs" and (mount.origin or mount.source):
            raise errors.Unsupported(
                f"RUN --mount=type={mount.type} with from or source is not supported yet"
            )
        found.append(_placed(mount, directory))
    return tuple(found)


def _placed(mount: Mount, directory: str) -> Mount:
    target = posixpath.normpath(posixpath.join("/", directory, mount.target))
    if not mount.target or target == "/":
        raise DockerfileError(f'invalid mount target "{mount.target}"')
    return mount.replace(target=target)


def _shebang(step: Run) -> bool:
    if len(step.files) != 1 or not step.shell or not step.args:
        return False
    return bool(heredoc.parse(step.args[0].strip())) and step.files[0].body.startswith("#!")


def _script(step: Run) -> bytes:
    return step.files[0].body.encode("utf-8", "surrogateescape") if _shebang(step) else b""


def _args(step: Run, state: State) -> tuple[str, ...]:
    if not step.shell:
        return step.args
    text = step.args[0] if step.args else ""
    if not step.files:
        return (*state.shell, text)
    if len(step.files) == 1 and heredoc.parse(text.strip()):
        if _shebang(step):
            return (f"{SCRIPT}{step.files[0].name}",)
        return (*state.shell, step.files[0].body)
    # The shell reads them itself: `RUN cat <<A >x`.
    pieces = [f"\n{found.content}{found.name}" for found in step.files]
    return (*state.shell, text + "".join(pieces))
