"""An interactive shell in a real terminal: tmux types, the test reads the screen."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from .conftest import IMAGE
from .programs import Cli, until


class Terminal:
    def __init__(self, socket: str) -> None:
        self.socket = socket

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self.socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        names = ("SAMPAN_ROOT", "SAMPAN_RUN", "DOCKER_HOST", "DOCKER_CONFIG", "PATH")
        variables = [f"{name}={environment[name]}" for name in names if name in environment]
        line = shlex.join(["env", *variables, *command])
        shell = f"{line}; echo exit=$?; exec cat"
        self.tmux("new-session", "-d", "-x", "100", "-y", "30", "sh", "-c", shell)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def press(self, key: str) -> None:
        self.tmux("send-keys", key)

    def shows(self, text: str) -> None:
        until(lambda: text in self.screen(), message=f"no {text!r} on the screen: {self.screen()}")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    assert shutil.which("tmux"), "./do test installs tmux"
    terminal = Terminal(f"voyage-{abs(hash(request.node.name)) % 10**8}")
    yield terminal
    subprocess.run(["tmux", "-L", terminal.socket, "kill-server"], capture_output=True, check=False)


def test_shell(cli: Cli, terminal: Terminal) -> None:
    command = [*cli.command, "run", "-it", "--rm", "--label", "voyage=1", IMAGE, "sh"]
    terminal.start(command, cli.environment)
    terminal.shows("/ #")
    terminal.type("tty; stty size")
    terminal.shows("/dev/pts/0")
    terminal.shows("30 100")
    terminal.tmux("resize-window", "-x", "120", "-y", "40")
    terminal.type('until [ "$(stty size)" = "40 120" ]; do usleep 50000; done; echo re""sized')
    terminal.shows("resized")
    terminal.type("sleep 1000")
    terminal.press("C-c")
    terminal.type("echo code $?")
    terminal.shows("code 130")
    terminal.type("sleep 1000 & jobs")
    terminal.shows("[1]+  Running")
    terminal.type("exit 42")
    terminal.shows("exit=42")


def test_detach_and_attach_again(cli: Cli, terminal: Terminal) -> None:
    command = [*cli.command, "run", "-it", "--name", "desk", "--label", "voyage=1", IMAGE, "sh"]
    terminal.start(command, cli.environment)
    terminal.shows("/ #")
    terminal.type("X=kept")
    terminal.shows("X=kept\n/ #")
    terminal.tmux("send-keys", "C-p", "C-q")
    terminal.shows("exit=0")
    again = Terminal(terminal.socket + "b")
    try:
        again.start([*cli.command, "attach", "desk"], cli.environment)
        again.type("echo still $X")
        again.shows("still kept")
        again.type("exit 3")
        again.shows("exit=3")
    finally:
        subprocess.run(
            ["tmux", "-L", again.socket, "kill-server"], capture_output=True, check=False
        )


def test_exec_with_a_terminal(cli: Cli, terminal: Terminal) -> None:
    cli.run("-d", "--name", "host", IMAGE, "sleep", "1000")
    terminal.start([*cli.command, "exec", "-it", "host", "sh"], cli.environment)
    terminal.shows("/ #")
    terminal.type("tty; exit 5")
    terminal.shows("/dev/pts/")
    terminal.shows("exit=5")
