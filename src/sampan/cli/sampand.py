"""`sampand`: the engine as a program.

    sampand [--root DIR] [--run DIR] [--foreground] [--config-file FILE] …

One engine per run directory: a lock file says so, and a second start waits until the first answers
and is content. Without `--foreground` it goes to the background and returns when the API answers;
its log is `run/sampand.log`. SIGTERM and SIGINT stop the engine, never a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from sampan.cli import engine_log, sampand_options
from sampan.cli.start_engine import CANNOT_START, leave_callers_cgroup
from sampan.kit import atomic, errors
from sampan.kit import paths as kit_paths
from sampan.linux import service, unix

if TYPE_CHECKING:
    from sampan.engine.settings import Settings
    from sampan.kit.paths import Paths

START_TIMEOUT = 30  # seconds until a start that does not answer is an error


def main() -> int:
    options = sampand_options.parse(sys.argv[1:])
    paths = kit_paths.from_environment(options.root, options.run)
    try:
        settings = options.settings()
    except errors.SampanError as error:
        print(f"sampand: {error}", file=sys.stderr)
        return 1
    if options.validate:
        print("configuration OK")
        return 0
    try:
        os.makedirs(paths.run, mode=0o711, exist_ok=True)
        lock = _lock(paths)
    except OSError as error:
        print(f"sampand: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    if lock is None:
        return _wait_for_other(paths)
    if options.foreground:
        return _serve(paths, settings)
    return _background(paths, settings, lock)


def _lock(paths: Paths) -> int | None:
    """The engine's lock, held until this process ends; None where another engine has it."""
    fd = os.open(f"{paths.run}/sampand.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _wait_for_other(paths: Paths) -> int:
    """Another engine has the lock: content as soon as it answers."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if _answers(paths):
            return 0
        time.sleep(0.02)
    print(f"sampand: another engine holds {paths.run} but does not answer", file=sys.stderr)
    return 1


def _answers(paths: Paths) -> bool:
    try:
        with unix.connect(paths.api_socket) as sock:
            sock.settimeout(5)
            sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in sock.recv(64)
    except OSError:
        return False


def _background(paths: Paths, settings: Settings, lock: int) -> int:
    """Fork twice; the first process waits for the engine's word that it is ready."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        _detach_stdio(paths)
        leave_callers_cgroup(paths.engine_cgroup)
        code = _serve(paths, settings, ready=theirs)
        logging.shutdown()
        os._exit(code)
    os.wait()
    theirs.close()
    os.close(lock)  # the child's copy holds it
    ours.settimeout(START_TIMEOUT)
    try:
        word = ours.recv(4096)
    except TimeoutError:
        word = b"it does not answer"
    if word == b"ready":
        return 0
    reason = word.decode(errors="replace") or "it ended at once"
    print(f"sampand: {reason} (log: {paths.run}/sampand.log)", file=sys.stderr)
    return 1


def _detach_stdio(paths: Paths) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    log = os.open(f"{paths.run}/sampand.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)
    os.chdir("/")


def _serve(paths: Paths, settings: Settings, ready: socket.socket | None = None) -> int:
    engine_log.begin(settings)
    try:
        asyncio.run(_run(paths, settings, ready))
    except Exception as error:
        if isinstance(error, errors.SampanError):
            logging.getLogger("sampan").error("%s%s", CANNOT_START, error)
        else:
            logging.getLogger("sampan").exception("the engine ended")
        if ready:
            try:
                ready.sendall(str(error).encode()[:4000])
            except OSError:
                pass
        return 1
    return 0


async def _run(paths: Paths, settings: Settings, ready: socket.socket | None) -> None:
    from sampan.dockerapi.app import Server
    from sampan.engine.engine import Engine

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = Engine(paths, settings)
    engine.on_shutdown = stop.set
    server = Server(engine)
    try:
        server.listen()
        await engine.start()
        atomic.write(f"{paths.run}/sampand.pid", str(os.getpid()).encode(), sync=False)
        await server.start()
        logging.getLogger("sampan").info("listening at %s", paths.api_socket)
        service.notify("READY=1")
        if ready:
            ready.sendall(b"ready")
            ready.close()
        await stop.wait()
        service.notify("STOPPING=1")
        await server.stop()
    finally:
        await engine.stop()
    if engine.shutting_down:  # else clients wait at the socket for the next engine
        for path in (*server.made, paths.spawner_socket, f"{paths.run}/sampand.pid"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


if __name__ == "__main__":
    sys.exit(main())
