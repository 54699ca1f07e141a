"""`start`: from a row to a running process.

1. ports are reserved and addresses taken: rows, and sockets in our hands
2. the spawner hands the connection to a monitor, which clones PID 1 if it can (`early`); meanwhile
   the files over /etc are written, config.json is built
3. PID 1, or the monitor's helper, makes the namespaces and says "created"
4. the network is set up in the namespace while PID 1 prepares its rootfs; "go"
5. "started": the state is written, the connection becomes the subscription

A failure at any step undoes the ones before. If the engine dies before "go", the monitor aborts;
after it, the next engine finds the monitor by its socket (`reconcile`). The row says "running" only
after "started", so a crash never leaves a running row without a monitor to ask.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.engine import (
    cdi,
    cgroups,
    containerfiles,
    lifecycle,
    oci,
    rootfs,
    runtimes,
    security_options,
    sized_layers,
    user_namespaces,
    users,
)
from sampan.engine.containers import early, links, log_config, mount_events, peers, scopes
from sampan.engine.errors import NotModified, StartFailed
from sampan.engine.places import Plan
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux import criu
from sampan.network import errors as network_errors
from sampan.shim import protocol

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.monitors import Client, Connection, Message

_TASK = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
)
_OWN = "sampan-oci create failed: unable to start container process: "


async def start(container: Container, *, checkpoint: str = "") -> None:
    """Docker's `POST /containers/{id}/start`; `checkpoint` is the directory of one."""
    if container.restarting is not None:
        container.restarting.cancel()
    async with container.lock:
        if container.status == "paused":
            raise errors.Conflict("cannot start a paused container, try unpause instead")
        if container.running:
            raise NotModified(f"container {container.id} is already running")
        if container.status in ("removing", "dead"):
            raise errors.Conflict("container is marked for removal and cannot be started")
        container.restart_count, container.backoff = 0, lifecycle.FIRST_BACKOFF
        await launch(container, checkpoint=checkpoint)


async def launch(container: Container, *, by_policy: bool = False, checkpoint: str = "") -> None:
    """The start itself; the lock is held. One that fails `by_policy` may stay "restarting"."""
    clients, container.waiting = container.waiting, []
    container.error, container.stopped_by_user = "", False
    try:
        await _launch(container, clients, checkpoint)
    except (errors.SampanError, OSError) as error:
        await _failed(container, error, again=by_policy and lifecycle.retries(container))
        code = container.exit_code
        raise StartFailed(container.error, code) from error
    finally:
        for client in clients:
            client.socket.close()


async def _launch(container: Container, clients: list[Client], checkpoint: str) -> None:
    engine = container.engine
    plan = Plan()
    if _has_network(container):
        await engine.endpoints.prepare(container)
        plan = engine.endpoints.plan(container)
    container.cgroup_driver = engine.cgroup_driver
    connection = None
    try:
        connection = await early.open(container, checkpoint)
        await engine.volumes.attach(container)
        mount_events.tell(container, "mount")
        if container.host_config.get("StorageOpt"):
            await in_thread(sized_layers.mount, engine, container.id)
        resolve = log_config.resolve
        waits = log_config.waits(container)
        log = await in_thread(resolve, container) if waits else resolve(container)
        if engine.pages.serving:
            await in_thread(identity, container)  # what it reads may have to come from a registry
        request = _request(container, plan, clients, log)
        if checkpoint:
            request = request.replace(restore=checkpoint, criu=criu.program())
        descriptors = [client.socket.fileno() for client in clients]
        descriptors += [fd for reservation, _ in plan.reservations for fd in reservation.fds()]
        os.makedirs(engine.paths.container_run(container.id), mode=0o700, exist_ok=True)
        connection = await early.send(container, connection, request, descriptors)
        if request.network:
            container.starting = connection
            await _connect_network(container, plan, connection)
            container.starting = None
        answer, _ = await _answer(container, connection)
    except BaseException as failure:
        if connection is not None and isinstance(failure, Exception):
            await connection.finish()  # the next start must not meet what is left of this one
        elif connection is not None:
            connection.detach()
        await engine.endpoints.release(container)
        await engine.volumes.detach(container)
        raise
    finally:
        container.starting = None
        plan.close()
    lifecycle.started(container, connection, answer["pid"], answer["started_at"])


async def _answer(container: Container, connection: Connection) -> tuple[Message, list[int]]:
    """What the monitor says next. One that was killed before it said anything left a cgroup."""
    answer, fds = await connection.receive()
    if failure := protocol.failure(answer):
        if answer is None:
            await in_thread(cgroups.end, container)
        raise failure
    assert answer is not None
    return answer, fds


async def _connect_network(container: Container, plan: Plan, connection: Connection) -> None:
    answer, fds = await _answer(container, connection)
    try:
        await container.engine.endpoints.connect(container, plan, fds[0], answer["pid"])
    finally:
        for fd in fds:
            os.close(fd)
    try:
        await connection.send(protocol.go())
    except errors.Unavailable:
        pass  # it has failed meanwhile and gone; why, it said before, and is read next


def _has_network(container: Container) -> bool:
    mode = container.network_mode()
    return mode not in ("host", "none") and not mode.startswith("container:")


def _request(
    container: Container, plan: Plan, clients: list[Client], log: protocol.Log
) -> protocol.Start:
    engine, config = container.engine, container.config
    run = engine.paths.container_run(container.id)
    mounts = rootfs.mounts(engine, container.id, mapped=user_namespaces.of(container) is not None)
    document = described(container, containerfiles.write(container, plan))
    root_path = document["root"]["path"]
    os.makedirs(root_path, exist_ok=True)
    fds = range(len(clients))
    runtime = runtimes.words(container)
    init = bool(container.host_config.get("Init"))
    if runtime and init:
        runtimes.add_init(document)
    return protocol.Start(
        id=container.id,
        bundle=container.bundle,
        run=run,
        config=document,
        root_path=root_path,
        rootfs=tuple(mounts),
        cgroup=container.cgroup,
        runtime=runtime,
        init=init and not runtime,
        tty=container.tty,
        stdin=bool(config.get("OpenStdin")),
        stdin_once=bool(config.get("StdinOnce")),
        size=_size(container),
        log=log,
        attach=tuple(c.attach.replace(fd=i) for i, c in zip(fds, clients, strict=True)),
        ports=tuple(_ports(plan, len(clients))),
        network=bool(plan.places),
    )


def described(container: Container, files: list[tuple[str, str]]) -> dict[str, Any]:
    """Its config.json, with these files over /etc."""
    engine = container.engine
    document = oci.build(
        container,
        oci.Surroundings(
            identity=identity(container),
            root_path=f"{engine.paths.container_run(container.id)}/rootfs",
            files=tuple(files),
            peers=(joined := peers.pids(container)),
            shm=peers.shm(container, joined),
            remap=user_namespaces.of(container),
            apparmor=apparmor_profile(container),
            links=linked(container),
        ),
    )
    document["annotations"] = scopes.as_annotations(container)
    cdi.inject(document, container.host_config, cdi.directories(engine.settings))
    return document


def _size(container: Container) -> tuple[int, int] | None:
    rows, columns = container.host_config.get("ConsoleSize") or (0, 0)
    return (rows, columns) if rows and columns else None


def _ports(plan: Plan, first_fd: int) -> list[protocol.Port]:
    found, fd = [], first_fd
    endpoint = plan.main.endpoint if plan.main else None
    host = (endpoint.ipv4 or endpoint.ipv6) if endpoint else ""
    for reservation, port in plan.reservations:
        for _ in reservation.sockets:
            found.append(protocol.Port(fd=fd, host=host, port=port))
            fd += 1
    return found


def linked(container: Container) -> tuple[str, ...]:
    """Variables that tell it about its legacy links."""
    return tuple(links.environment(container)) if container.network_mode() == "bridge" else ()


def apparmor_profile(container: Container) -> str:
    """Its name; "" on a host without AppArmor."""
    host = container.host_config
    named = security_options.parse(host).get("apparmor", "")
    return container.engine.confinement.of(host, named)


def identity(container: Container, user: str | None = None) -> users.Identity:
    """Who the process is, by the passwd and group files in the container's own layers."""
    layers = rootfs.layers(container.engine, container.id)
    return users.resolve(
        (container.config.get("User") or "") if user is None else user,
        rootfs.read_file(layers, "/etc/passwd"),
        rootfs.read_file(layers, "/etc/group"),
        container.host_config.get("GroupAdd") or (),
    )


async def _failed(container: Container, error: BaseException, *, again: bool) -> None:
    """Nothing runs: write why, as Docker says it, and the exit code a shell would show."""
    code = getattr(error, "exit_code", 128)
    message = str(error)
    if isinstance(error, protocol.RemoteError):
        prefix = "" if runtimes.words(container) else _OWN
        message = _TASK + prefix + message
    elif isinstance(error, network_errors.PortAllocated):
        message = (
            "failed to set up container networking: driver failed programming external "
            f"connectivity on endpoint {container.name} ({container.id}): {message}"
        )
    container.exit_code, container.error = code if code != 125 else 128, message
    container.status, container.pid = "created" if not container.exits else "exited", 0
    if again:
        container.status = "restarting"
        container.restart_count += 1
    container.save()
    container.event("die", exitCode=str(container.exit_code), execDuration="0")
    container.exits += 1
    await container.notify()
    if container.auto_remove:
        container.engine.spawn(lifecycle.remove_finished(container), f"remove {container.id[:12]}")
