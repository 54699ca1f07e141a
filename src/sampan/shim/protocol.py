"""What engine, spawner and monitor say to each other: every message in one place.

Messages are `linux.unix`'s: JSON with descriptors beside it. This module is bytes-free and does no
I/O: a constructor returns the dictionary to send (`parsing` turns a received one into a record), so
that the asyncio engine and the blocking monitor share it.

    spawner  hello() → hello_answer() · retire() · start() · archive() · resolver()
    resolver hello() → resolver_answer() · update() · retire()
    start() and a Start → created (+ netns) · ← go() → started | error → events until exit
    monitor  subscribe() → state, events
             attach() exec() resize() kill() call() close_stdin() → ok | started | error

Events: `created started error state exec_exit oom detach exit`. Times are RFC 3339, exit codes
0 to 255 (128 + signal where a signal ended it), sizes (rows, columns). A descriptor is named by its
index among those that travel with the message.
"""

from __future__ import annotations

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.runtime import errors as runtime_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Message = dict[str, Any]

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
ENGINE_ERROR = 125  # docker run's exit code where no other applies

_KINDS = {
    kind.__name__: kind
    for kind in (
        errors.NotFound,
        errors.AlreadyExists,
        errors.Conflict,
        errors.InvalidArgument,
        errors.Unsupported,
        errors.Unavailable,
    )
}


class Attach(Record):
    """One client: which streams it wants and how. `fd` is its socket once received, else -1.

    `pending`: what it had sent before its connection was taken over, base64; stdin gets it first.
    """

    fd: int = -1
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    multiplexed: bool = True
    detach_keys: str = ""
    pending: str = ""


class Log(Record):
    driver: str = "none"  # json-file, local, journald, syslog
    path: str = ""  # of the files to read back; "": none are written
    max_size: int = 0  # bytes; 0: no rotation
    max_file: int = 1
    compress: bool = False  # rotated files, with gzip
    labels: dict[str, str] = {}  # written with each record, as Docker's "attrs"
    address: str = ""  # where lines are sent: a path, or a numeric address
    fields: dict[str, str] = {}  # what is said with each line, see the driver
    blocking: bool = True  # else the oldest lines are dropped when the receiver is slow
    buffer: int = 1 << 20  # bytes that wait for a slow receiver


class Port(Record):
    """A published port: a bound socket (TCP: listening) and where its connections go."""

    fd: int
    host: str
    port: int


class Start(Record):
    id: str
    bundle: str
    run: str
    config: Message  # the OCI config.json
    root_path: str = ""  # where rootfs is mounted; "": config's root.path
    rootfs: tuple[Message, ...] = ()
    cgroup: str = ""
    runtime: tuple[str, ...] = ()  # another OCI runtime and its arguments; none: ours
    restore: str = ""  # directory of a checkpoint to go on from, by the program `criu`
    criu: str = ""
    init: bool = False
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    size: tuple[int, int] | None = None
    log: Log = Log()
    attach: tuple[Attach, ...] = ()
    ports: tuple[Port, ...] = ()
    network: bool = False

    def message(self) -> Message:
        """As the engine sends it after `start`; `fd`s are indexes of the descriptors sent along."""
        return {"op": "container", **_plain(self)}


class Exec(Record):
    exec_id: str
    process: Message  # an OCI process
    tty: bool = False
    stdin: bool = False
    size: tuple[int, int] | None = None
    attach: Attach | None = None  # None: its output is thrown away

    def message(self) -> Message:
        return {"op": "exec", **_plain(self)}


class Archive(Record):
    """Docker's cp and export. With `pid` the container's own mounts are seen, else `rootfs`."""

    action: str  # stat, get, put, export
    path: str = "/"
    pid: int | None = None
    rootfs: tuple[Message, ...] = ()
    root_path: str = ""
    no_overwrite_dir_non_dir: bool = False
    owner: tuple[int, int] | None = None  # put: everything belongs to this uid and gid
    # Without `pid`, as the start would have them:
    directory: str = ""  # made where it is missing
    readonly: bool = False  # the root

    def message(self) -> Message:
        return {"op": "archive", **_plain(self)}


class ExitRecord(Record):
    """The bundle's `exit.json`, and the `exit` event."""

    exit_code: int
    signal: int | None
    oom_killed: bool
    exited_at: str
    started_at: str
    pid: int

    def message(self) -> Message:
        return dict(self.__dict__)


def _plain(value: object) -> Any:
    if isinstance(value, Record):
        return {name: _plain(field) for name, field in value.__dict__.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


# ---- what the engine says


def hello() -> Message:
    return {"op": "hello"}


def start(direct: str) -> Message:
    """A `Start` follows. `direct`: see `eligible.cgroup`."""
    return {"op": "start", "direct": direct}


def retire() -> Message:
    return {"op": "retire"}


def resolver(path: str) -> Message:
    """A spawner shall fork a resolver that listens at `path`."""
    return {"op": "resolver", "path": path}


def update(
    containers: dict[str, Message | None],
    networks: dict[str, dict[str, Message | None]],
    sockets: Sequence[str] = (),
) -> Message:
    """Views by container, hosts by network and container; null takes away.

    Goes with three descriptors for each container of `sockets`: UDP, TCP, pidfd.
    """
    return {"op": "update", "containers": containers, "networks": networks, "sockets": [*sockets]}


def go() -> Message:
    """The network is there: PID 1 may exec."""
    return {"op": "go"}


def subscribe() -> Message:
    return {"op": "subscribe"}


def attach(client: Attach) -> Message:
    """Goes with one descriptor, the client's socket."""
    return {"op": "attach", **_plain(client)}


def resize(rows: int, columns: int, exec_id: str | None = None) -> Message:
    return {"op": "resize", "rows": rows, "columns": columns, "exec_id": exec_id}


def kill(signal: int) -> Message:
    return {"op": "kill", "signal": signal}


def call(verb: str, argument: object = ()) -> Message:
    """Have another OCI runtime do it: `pause`, `resume`, or `update` with `linux.resources`."""
    return {"op": "call", "verb": verb, "argument": argument}


def close_stdin() -> Message:
    return {"op": "close_stdin"}


# ---- what spawner and monitor say


def hello_answer(version: str, pid: int) -> Message:
    return {"version": version, "pid": pid}


def resolver_answer(version: str, containers: Sequence[str]) -> Message:
    return {"version": version, "containers": [*containers]}


def ok(**more: object) -> Message:
    return {"ok": True, **more}


def created(pid: int) -> Message:
    """Goes with one descriptor, the network namespace, if `network` was asked for."""
    return {"event": "created", "pid": pid}


def started(pid: int, started_at: str) -> Message:
    return {"event": "started", "pid": pid, "started_at": started_at}


def state(pid: int, started_at: str, execs: dict[str, int]) -> Message:
    return {"event": "state", "pid": pid, "started_at": started_at, "execs": execs}


def exec_exit(exec_id: str, exit_code: int) -> Message:
    return {"event": "exec_exit", "exec_id": exec_id, "exit_code": exit_code}


def oom() -> Message:
    return {"event": "oom"}


def detach(exec_id: str | None = None) -> Message:
    return {"event": "detach", "exec_id": exec_id}


def exit(record: ExitRecord) -> Message:
    return {"event": "exit", **record.message()}


def error(cause: BaseException) -> Message:
    """Any exception as an `error` event: its kind, an exit code for the caller, its sentence."""
    kind = next((name for name, kind in _KINDS.items() if isinstance(cause, kind)), "SampanError")
    code = runtime_errors.exit_code(cause)
    return {"event": "error", "kind": kind, "code": code, "message": _sentence(cause)}


def _sentence(cause: BaseException) -> str:
    text = str(cause) or type(cause).__name__
    if isinstance(cause, OSError) and cause.strerror:
        text = f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
    return "; ".join([text, *getattr(cause, "__notes__", ())])


class RemoteError(errors.SampanError):
    """Base of what `failure` returns: carries the exit code (125, 126, 127) beside the kind."""

    exit_code: int = ENGINE_ERROR


_REMOTE: dict[str, type[errors.SampanError]] = {
    name: type(name, (RemoteError, kind), {}) for name, kind in _KINDS.items()
}


def failure(message: Message | None) -> errors.SampanError | None:
    """The exception that an answer stands for, or None where all is well.

    It is one of the six kinds (and a `RemoteError` with `exit_code`); a connection that ended
    without an answer (`message` is None) is `Unavailable`.
    """
    if message is None:
        return errors.Unavailable("the monitor went away before it answered")
    if message.get("event") != "error":
        return None
    raised = _REMOTE.get(message["kind"], RemoteError)(message["message"])
    raised.exit_code = message["code"]  # type: ignore[attr-defined]
    return raised
