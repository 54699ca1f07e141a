"""An ssh agent's socket of one step: what is said comes through, and all ends with the step."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

from sampan.build.providers import LocalAgents
from sampan.engine.builds.relays import Relay

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_said_comes_through_and_ends_with_the_step(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()

        def answer() -> None:
            client, _ = agent.accept()
            with client:
                client.sendall(client.recv(100).upper())
                client.recv(100)  # until the step lets go

        thread = threading.Thread(target=answer)
        thread.start()
        path = str(tmp_path / "relay")
        agents = LocalAgents({"default": str(tmp_path / "agent")})
        with socket.socket(socket.AF_UNIX) as step:
            owner = (os.getuid(), os.getgid())
            with Relay(agents, "default", path, owner=owner, mode=0o660):
                assert os.stat(path).st_mode & 0o777 == 0o660
                step.connect(path)
                step.sendall(b"please")
                assert step.recv(100) == b"PLEASE"
            assert step.recv(100) == b""
        thread.join()
