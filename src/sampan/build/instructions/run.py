"""`RUN [--mount --network --security --device] command`: shell or exec form, or heredocs."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions import run_device, run_mount
from sampan.build.instructions.base import Flags, Instruction, string, strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.heredoc import Heredoc
    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement

_FLAGS = Flags(strings=("network", "security"), lists=("mount", "device"))


class Run(Instruction):
    args: tuple[str, ...]
    shell: bool
    files: tuple[Heredoc, ...] = ()
    mount_texts: tuple[str, ...] = ()
    mounts: tuple[run_mount.Mount, ...] = ()  # once `expanded`
    devices: tuple[run_device.Device, ...] = ()
    network: str = "default"
    security: str = "sandbox"

    def expanded(self, expander: Expander) -> Self:
        # The command's variables are its shell's; the mounts' are the builder's.
        return self.replace(
            mounts=tuple(run_mount.parse(text, expander.word) for text in self.mount_texts)
        )


def parse(statement: Statement) -> Run:
    flags = _FLAGS.read(statement)
    network = string(flags, "network") or "default"
    if network not in ("default", "none", "host"):
        raise DockerfileError(f'invalid network mode "{network}"')
    security = string(flags, "security") or "sandbox"
    if security not in ("sandbox", "insecure"):
        raise DockerfileError(f'security "{security}" is not valid')
    mounts = tuple(strings(flags, "mount"))
    for text in mounts:
        run_mount.check(text)
    return Run(
        statement=statement,
        args=statement.args,
        shell=not statement.json,
        files=statement.heredocs,
        mount_texts=mounts,
        devices=tuple(run_device.parse(text) for text in strings(flags, "device")),
        network=network,
        security=security,
    )
