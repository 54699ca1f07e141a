"""What a build is asked for: Docker's `POST /build`, checked, and what we have beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.build import providers
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.build.cache_options import Export, Import
    from sampan.build.output_options import Output
    from sampan.build.provenance import Wanted
    from sampan.build.providers import Agents, Secrets
    from sampan.registry.auth import Credentials


class Options(Record):
    dockerfile: str = "Dockerfile"
    remote: str = (
        ""  # a context from afar: a git repository, an archive or a Dockerfile behind http
    )
    directory: str = ""  # a context that is one of this machine's directories
    names: tuple[str, ...] = ()
    target: str = ""
    args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()  # none: an image of the engine
    provenance: Wanted | None = None
    imports: tuple[Import, ...] = ()  # caches beside the engine's own
    exports: tuple[Export, ...] = ()
    pull: bool = False
    quiet: bool = False
    platform: str = ""
    explain: bool = False
    network: str = ""
    hostname: str = "buildkitsandbox"  # BuildKit's: the same for every build
    host_config: Mapping[str, Any] = {}  # limits of the steps' containers
    contexts: Mapping[str, str] = {}  # name → docker-image://NAME, or a directory of the context
    allowed: frozenset[str] = frozenset()
    secrets: Secrets = providers.GivenSecrets()
    agents: Agents = providers.LocalAgents()
    credentials: Mapping[str, Credentials] = {}  # by registry

    @property
    def sandbox(self) -> str:
        """What RUN's containers call themselves; the argument is BuildKit's."""
        return self.args.get("BUILDKIT_SANDBOX_HOSTNAME") or self.hostname

    @property
    def carries_cache(self) -> bool:
        """Whether the image is to have its cache in it; the argument is BuildKit's."""
        asked = self.args.get("BUILDKIT_INLINE_CACHE", "").lower() in ("1", "t", "true")
        return asked or any(one.type == "inline" for one in self.exports)
