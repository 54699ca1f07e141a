"""`sampan image bootstrap`: a base image from a distribution's archive, without a registry."""

from __future__ import annotations

from sampan.cli import bootstrapping
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image bootstrap",
    summary="Make a base image from a distribution's archive",
    description="debian:SUITE (or ubuntu:SUITE) is built from the distribution's own packages, "
    "busybox from the static busybox of this host. The same archive state gives the same digest.",
    operands="debian:SUITE|busybox",
    at_least=1,
    at_most=1,
    options=(
        option("--cmd", "string", "Default command, in the words of a shell or as JSON"),
        option("--entrypoint", "string", "Entrypoint, in the words of a shell or as JSON"),
        option("--env", "env", "Set an environment variable in the image, NAME=VALUE"),
        option("--expose", "expose", "Declare a port as served"),
        option("--include", "commas", "Install these packages, too"),
        option("--label", "label", "Set a label, KEY=VALUE"),
        option("--mirror", "string", "Take the packages from this archive"),
        option("-o --output", "string", "Write the image to this file and do not load it",
               completes="file"),
        option("--run", "list", "Run a shell command in the new file system"),
        option("--stop-signal", "string", "Signal that stops it", completes="signal"),
        option("-t --tag", "list", "Name of the image"),
        option("--user", "string", "Run as this user"),
        option("--volume", "list", "Declare a volume"),
        option("--workdir", "string", "Directory to run in"),
    ),
    completes="debian:12|debian:13|busybox",
    examples=(
        (
            "sampan image bootstrap debian:12 --include nginx-light --tag nginx:1.25 "
            "--expose 80 --cmd 'nginx -g \"daemon off;\"'",
            "a web server",
        ),
    ),
)  # fmt: skip


def run(session: Session, args: Arguments) -> None:
    bootstrapping.run(session, args)
