#!/usr/bin/env python3
"""Run a program one does not trust: no network, nothing to write on, little of everything.

    echo 'echo hello; id; wget -T1 http://example.org' | sandbox.py busybox sh

The standard input is the program's, its output comes back, and its exit code is ours; 124 when it
took too long, 137 when it wanted more memory than it may have. The container is gone when this
ends, also by Ctrl-C; the time is kept by this program, so a kill -9 of it leaves the container to
its own end. It works with any engine that speaks Docker's API: the address is DOCKER_HOST's, else
Sampan's own. Needs the package sampan (in a checkout: PYTHONPATH=src).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from typing import Any

from sampan.client import api, http
from sampan.kit import errors
from sampan.spec import docker_stream

MOST_OUTPUT = 1 << 20  # bytes; what is above is read and dropped
LIMITS: dict[str, Any] = {
    "AutoRemove": True,
    "NetworkMode": "none",
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "size=16m,noexec"},
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "Memory": 64 << 20,
    "MemorySwap": 64 << 20,
    "NanoCpus": 500_000_000,
    "PidsLimit": 32,
}


def run(
    host: str, image: str, command: list[str], given: bytes, seconds: float
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of a command that has read `given`."""
    with api.Client(host) as client:
        body = {
            "Image": image, "Cmd": command, "User": "65534:65534", "HostConfig": LIMITS,
            "OpenStdin": True, "StdinOnce": True, "AttachStdin": True,
        }  # fmt: skip
        container = "/containers/" + client.call("POST", "/containers/create", body=body)["Id"]
        late = threading.Event()
        timer = threading.Timer(seconds, kill, (host, container, late))
        try:
            streams = {"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1}
            attached = client.hijack(f"{container}/attach", streams)
            ended = client.stream("POST", f"{container}/wait", {"condition": "next-exit"})
            client.call("POST", f"{container}/start")
            timer.start()
            threading.Thread(target=feed, args=(attached, given), daemon=True).start()
            out, err = read(attached)
            code = next(client.messages(ended))["StatusCode"]
            return 124 if late.is_set() else code, out, err
        finally:
            timer.cancel()
            with contextlib.suppress(errors.NotFound, errors.Conflict):  # it removes itself
                client.call("DELETE", container, {"force": True})


def feed(attached: http.Hijacked, given: bytes) -> None:
    with contextlib.suppress(OSError):  # it does not want all of it
        attached.send(given)
    attached.close_write()


def read(attached: http.Hijacked) -> tuple[bytes, bytes]:
    output = {docker_stream.STDOUT: bytearray(), docker_stream.STDERR: bytearray()}
    decoder = docker_stream.FrameDecoder()
    while data := attached.receive():
        for frame in decoder.feed(data):
            kept = output[frame.stream]
            kept += frame.payload[: MOST_OUTPUT - len(kept)]
    return bytes(output[docker_stream.STDOUT]), bytes(output[docker_stream.STDERR])


def kill(host: str, container: str, late: threading.Event) -> None:
    late.set()
    with api.Client(host) as client, contextlib.suppress(errors.NotFound, errors.Conflict):
        client.call("POST", f"{container}/kill")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10, help="how long it may take (10)")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    host = os.environ.get("DOCKER_HOST", "unix:///run/sampan/sampan.sock")
    given = sys.stdin.buffer.read()
    try:
        code, out, err = run(host, options.image, options.command, given, options.seconds)
    except errors.SampanError as error:
        print(f"sandbox.py: {error}", file=sys.stderr)
        return 125
    except KeyboardInterrupt:
        return 130
    sys.stdout.buffer.write(out)
    sys.stderr.buffer.write(err)
    return code


if __name__ == "__main__":
    sys.exit(main())
