"""What a command gets: the engine, the directories, the user's configuration."""

from __future__ import annotations

import os
import sys

from sampan.client import api, errors
from sampan.kit import errors as kit_errors
from sampan.kit import paths

DEFAULT_CONTEXT = "default"

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Mapping
    from typing import Any

    from sampan.cli import contexts
    from sampan.client import tunnel


class Session:
    def __init__(
        self, *, host: str = "", context: str = "", root: str = "", run: str = "",
        config: str = "", tls: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.paths = paths.from_environment(root or None, run or None)
        self._host = host or os.environ.get("SAMPAN_HOST", "")
        self._own = bool(run or os.environ.get("SAMPAN_RUN"))  # an engine by its directory
        if host and context:
            raise kit_errors.InvalidArgument("--host and --context both name an engine: give one")
        self._wanted_context, self._tls = context, tls or {}
        self._endpoint: contexts.Endpoint | None = None
        self.config_dir = (
            config
            or os.environ.get("DOCKER_CONFIG", "")
            or os.path.join(os.path.expanduser("~"), ".docker")
        )
        self._client: api.Client | None = None
        self._config: dict[str, Any] | None = None

    @property
    def context(self) -> str:
        """The name of the context in use. What is said now precedes what was said before: -c, then
        -H and SAMPAN_HOST or an own run directory, DOCKER_CONTEXT, `context use`."""
        if self._wanted_context:
            return self._wanted_context
        if self._host or self._own:
            return DEFAULT_CONTEXT
        named = os.environ.get("DOCKER_CONTEXT") or self.config.get("currentContext")
        return str(named or DEFAULT_CONTEXT)

    @property
    def host(self) -> str:
        """The address of an engine that the user named; "" for the default one, which we start."""
        return self._host if self.context == DEFAULT_CONTEXT else self._of_context().host

    @property
    def address(self) -> str:
        return self.host or f"unix://{self.paths.api_socket}"

    def _of_context(self) -> contexts.Endpoint:
        if self._endpoint is None:
            from sampan.cli import contexts

            self._endpoint = contexts.Store(self.config_dir).endpoint(self.context)
        return self._endpoint

    def _tls_material(self) -> tunnel.Tls | None:
        if self.context != DEFAULT_CONTEXT:
            return self._of_context().tls
        if not self._host.startswith("tcp:"):
            return None
        from sampan.cli import tls_settings

        return tls_settings.find(self._tls, self.config_dir)

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
        version = os.environ.get("DOCKER_API_VERSION", "").removeprefix("v")
        return api.Client(self.address, tls=self._tls_material(), version=version)

    def connect(self) -> _socket.socket:
        """A connection to the engine, of the caller's own."""
        from sampan.client import address

        return address.connect(address.parse(self.address, self._tls_material()))

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
