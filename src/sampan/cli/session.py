"""What a command gets: the engine, the directories, the user's configuration."""

from __future__ import annotations

import os
import sys

from sampan.client import api, errors
from sampan.kit import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Session:
    def __init__(self, *, host: str = "", root: str = "", run: str = "", config: str = "") -> None:
        self.paths = paths.from_environment(root or None, run or None)
        self.host = host or os.environ.get("SAMPAN_HOST", "")
        self.config_dir = (
            config
            or os.environ.get("DOCKER_CONFIG", "")
            or os.path.join(os.path.expanduser("~"), ".docker")
        )
        self._client: api.Client | None = None
        self._config: dict[str, Any] | None = None

    @property
    def address(self) -> str:
        return self.host or f"unix://{self.paths.api_socket}"

    @property
    def client(self) -> api.Client:
        """The engine; the default one is started where it does not run."""
        if self._client is None:
            client = self.new_client()
            try:
                client.open()
            except errors.Unreachable:
                if self.host:
                    raise
                from sampan.cli import start_engine

                start_engine.ensure(self.paths)
                client.open()
            self._client = client
        return self._client

    def new_client(self) -> api.Client:
        return api.Client(self.address)

    @property
    def config(self) -> dict[str, Any]:
        """config.json; empty where there is none."""
        if self._config is None:
            from sampan.cli import config_file

            self._config = config_file.read(self.config_dir)
        return self._config

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def each(names: list[str], action: Any) -> int:
    """Do `action(name)` for each name, print the name, report failures, go on: 1 if any failed."""
    from sampan.cli.main import describe

    code = 0
    for name in names:
        try:
            shown = action(name)
        except errors.ApiError as error:
            sys.stdout.flush()
            print(describe(error), file=sys.stderr)
            code = 1
        else:
            print(name if shown is None else shown)
    return code
