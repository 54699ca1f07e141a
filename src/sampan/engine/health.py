"""Health checks: a command in the container at intervals, and what follows from its exit codes.

`Config.Healthcheck` is Docker's: `Test` (`CMD …`, `CMD-SHELL text`, `NONE`), times in nanoseconds.
"starting" becomes "healthy" with the first success; `Retries` failures in a row make "unhealthy",
those of the start period do not count. The state is the engine's alone: after its restart a
container is "starting" until the next probe.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

from sampan.kit import clock, errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.engine.containers.container import Container
    from sampan.engine.containers.exec import Exec

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
_RESULTS, _OUTPUT = 5, 4096  # kept results, bytes of each


class Check(Record):
    """What is asked for; times in seconds."""

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3


def check_of(config: dict[str, Any]) -> Check | None:
    wanted = config.get("Healthcheck") or {}
    test = wanted.get("Test") or ["NONE"]
    if test[0] == "NONE" or len(test) < 2:
        return None
    shell = config.get("Shell") or ["/bin/sh", "-c"]
    command = test[1:] if test[0] == "CMD" else [*shell, test[1]]
    usual = Check(command=tuple(command))

    def seconds(name: str, default: float) -> float:
        return (wanted.get(name) or 0) / 1e9 or default

    return usual.replace(
        interval=seconds("Interval", usual.interval),
        timeout=seconds("Timeout", usual.timeout),
        start_period=seconds("StartPeriod", usual.start_period),
        start_interval=seconds("StartInterval", usual.start_interval),
        retries=wanted.get("Retries") or usual.retries,
    )


class Health:
    """One container's health while it runs, and how it was when it ended."""

    def __init__(self, container: Container, check: Check) -> None:
        self._container, self._check = container, check
        self.status, self.streak = STARTING, 0
        self._results: list[dict[str, Any]] = []
        self._task = container.engine.spawn(self._run(), f"health of {container.id[:12]}")

    def stop(self) -> None:
        self._task.cancel()
        if self.status == STARTING:
            self.status = UNHEALTHY

    def document(self) -> dict[str, Any]:
        """Docker's `State.Health`."""
        return {"Status": self.status, "FailingStreak": self.streak, "Log": self._results}

    async def _run(self) -> None:
        check = self._check
        while True:
            early = self.status == STARTING and self._young()
            await asyncio.sleep(
                min(check.start_interval, check.interval) if early else check.interval
            )
            if self._container.status == "running":
                self._judge(await self._probe())

    def _young(self) -> bool:
        since = (clock.parse(clock.now()) - clock.parse(self._container.started_at)) / 1e9
        return since < self._check.start_period

    def _judge(self, result: dict[str, Any]) -> None:
        self._results = [*self._results, result][-_RESULTS:]
        before = self.status
        if result["ExitCode"] == 0:
            self.streak, self.status = 0, HEALTHY
        elif not (self.status == STARTING and self._young()):
            self.streak += 1
            if self.streak >= self._check.retries:
                self.status = UNHEALTHY
        if self.status != before:
            self._container.event(f"health_status: {self.status}")

    async def _probe(self) -> dict[str, Any]:
        from sampan.engine.containers import exec

        container, start = self._container, clock.now()
        config = {
            "Cmd": list(self._check.command), "AttachStdout": True, "AttachStderr": True,
        }  # fmt: skip
        code, output = -1, b""
        try:
            process = await exec.create(container, config)
            try:
                code, output = await self._execute(process)
            finally:
                exec.forget(process)
        except errors.SampanError as error:
            output = str(error).encode()
        text = output[:_OUTPUT].decode(errors="replace")
        return {"Start": start, "End": clock.now(), "ExitCode": code, "Output": text}

    async def _execute(self, process: Exec) -> tuple[int, bytes]:
        from sampan.engine.containers import exec
        from sampan.engine.monitors import Client
        from sampan.shim import protocol

        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        output = b""
        wants = protocol.Attach(stdout=True, stderr=True, multiplexed=False)
        try:
            async with asyncio.timeout(self._check.timeout):
                with theirs:
                    await exec.run(process, Client(socket=theirs, attach=wants))
                async for part in _read(ours):
                    output = (output + part)[: _OUTPUT + 1]
                await process.ended.wait()
        except TimeoutError:
            if process.running and process.pid:
                os.kill(process.pid, signal.SIGKILL)
            limit = f"Health check exceeded timeout ({_span(self._check.timeout)})".encode()
            return -1, limit + b": " + output if output else limit
        finally:
            ours.close()
        return process.exit_code if process.exit_code is not None else -1, output


async def _read(sock: socket.socket) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(sock, 1 << 16):
        yield data


def _span(seconds: float) -> str:
    """As Go writes it for people: 50ms, 30s, 1m30s."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


def begin(container: Container) -> None:
    """It runs: check it from now on, if it says how."""
    check = check_of(container.config)
    container.health = Health(container, check) if check else None


def end(container: Container) -> None:
    if container.health is not None:
        container.health.stop()
