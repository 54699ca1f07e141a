"""`exec`: another process in a running container."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any

from sampan.engine import apparmor, monitors, oci, security_options
from sampan.engine.containers import start
from sampan.engine.errors import NoSuchExec
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.shim import parsing, protocol

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.monitors import Client

PATIENCE = 10  # seconds that a resize waits for the start, as dockerd's


class Exec:
    def __init__(self, container: Container, config: dict[str, Any]) -> None:
        self.id = secrets.token_hex(32)
        self.container, self.config = container, config
        self.pid = 0
        self.started = self.running = False
        self.begun = asyncio.Event()  # its command runs, or could not be run
        self.exit_code: int | None = None
        self.ended = asyncio.Event()

    @property
    def tty(self) -> bool:
        return bool(self.config.get("Tty"))

    def finished(self, code: int) -> None:
        if not self.running:
            return
        self.running, self.exit_code = False, code
        self.ended.set()
        self.container.event("exec_die", execID=self.id, exitCode=str(code))


async def create(container: Container, config: dict[str, Any]) -> Exec:
    """Docker's `POST /containers/{id}/exec`."""
    container.require_unpaused("exec")
    if not config.get("Cmd"):
        raise errors.InvalidArgument("No exec command specified")
    if config.get("User"):
        await in_thread(start.identity, container, config["User"])  # an unknown one is refused now
    try:
        parsing.detach_keys(config.get("DetachKeys") or "")
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(
            f"Invalid escape keys ({config['DetachKeys']}) provided"
        ) from error
    made = Exec(container, config)
    container.execs[made.id] = made
    container.engine.containers.execs[made.id] = made
    container.event(f"exec_create: {' '.join(config['Cmd'])}", execID=made.id)
    return made


def get(engine: Engine, exec_id: str) -> Exec:
    found = engine.containers.execs.get(exec_id)
    if found is None:
        raise NoSuchExec(exec_id)
    return found


def forget(process: Exec) -> None:
    process.container.execs.pop(process.id, None)
    process.container.engine.containers.execs.pop(process.id, None)


def check_start(process: Exec) -> None:
    """What can be refused before the client's connection is taken over."""
    if process.started:
        raise errors.Conflict(f"exec {process.id} has already been run")
    process.container.require_unpaused("exec")


async def run(process: Exec, client: Client | None, size: tuple[int, int] | None = None) -> None:
    """Start it; `client` gets its output, None throws it away. Raises if it cannot start."""
    check_start(process)
    process.started = True
    container = process.container
    process.running = True
    container.event(f"exec_start: {' '.join(process.config['Cmd'])}", execID=process.id)
    try:
        request = protocol.Exec(
            exec_id=process.id,
            process=document(process),
            tty=process.tty,
            stdin=bool(process.config.get("AttachStdin")) and client is not None,
            size=size,
            attach=client.attach if client else None,
        )
        answer = await monitors.ask(
            container.engine.paths.monitor_socket(container.id),
            request.message(),
            [client.socket.fileno()] if client else [],
        )
    except errors.SampanError as error:
        process.running, process.exit_code = False, _exit_code(error)
        container.event("exec_die", execID=process.id, exitCode=str(process.exit_code))
        raise
    finally:
        process.begun.set()
    process.pid = answer.get("pid", 0)


def _exit_code(error: errors.SampanError) -> int:
    """What a shell would say: 127 for what is not there, 126 for what cannot be run (dockerd)."""
    code = getattr(error, "exit_code", protocol.ENGINE_ERROR)
    if code != protocol.ENGINE_ERROR:
        return int(code)
    return 127 if "no such file or directory" in str(error).lower() else 126


def document(process: Exec) -> dict[str, Any]:
    """The OCI process: the container's own, with what exec says over it."""
    container, config = process.container, process.config
    host = container.host_config
    user = config.get("User") or container.config.get("User") or ""
    identity = start.identity(container, user)
    privileged = bool(config.get("Privileged") or host.get("Privileged"))
    capabilities = oci.effective_capabilities({**host, "Privileged": privileged})
    options = security_options.parse(host)
    base = {**container.config, "Tty": process.tty}
    base["Env"] = [*(container.config.get("Env") or ()), *(config.get("Env") or ())]
    return {
        "terminal": process.tty,
        "user": oci.user(identity),
        "args": config["Cmd"],
        "env": oci.environment(base, identity.home, start.linked(container)),
        "cwd": config.get("WorkingDir") or container.config.get("WorkingDir") or "/",
        "capabilities": oci.capability_sets(capabilities, identity.uid),
        "rlimits": oci.rlimits(host.get("Ulimits") or ()),
        "noNewPrivileges": options.get("no-new-privileges", "false") == "true",
        **apparmor.process(start.apparmor_profile(container)),
    }


async def resize(process: Exec, rows: int, columns: int) -> None:
    """Clients ask for it beside the start, so it may come first: it waits for that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await process.begun.wait()
    if not process.running:
        raise errors.Conflict(f"exec {process.id} is not running")
    container = process.container
    await monitors.ask(
        container.engine.paths.monitor_socket(container.id),
        protocol.resize(rows, columns, process.id),
    )


def inspect(process: Exec) -> dict[str, Any]:
    """Docker's `GET /exec/{id}/json`."""
    config, command = process.config, process.config["Cmd"]
    return {
        "ID": process.id,
        "Running": process.running,
        "ExitCode": process.exit_code,
        "ProcessConfig": {
            "tty": process.tty,
            "entrypoint": command[0],
            "arguments": command[1:],
            "privileged": bool(config.get("Privileged")),
            **({"user": config["User"]} if config.get("User") else {}),
        },
        "OpenStdin": bool(config.get("AttachStdin")),
        "OpenStderr": bool(config.get("AttachStderr")),
        "OpenStdout": bool(config.get("AttachStdout")),
        "CanRemove": not process.running and process.started,
        "ContainerID": process.container.id,
        "DetachKeys": "",
        "Pid": process.pid,
    }
