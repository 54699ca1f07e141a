"""What a stage has become so far: an image config and its layers, as a value.

`begin(base)` and `after(state, instruction)` are pure: metadata instructions change the config and
append a history entry in the classic builder's words; steps that make a layer append it too.
Times are fixed: SOURCE_DATE_EPOCH, else the base image's own, else the epoch's beginning, so that
the same inputs give the same bytes.
"""

from __future__ import annotations

import datetime
import json
import posixpath

from sampan.build.errors import DockerfileError
from sampan.build.instructions import (
    cmd,
    entrypoint,
    env,
    expose,
    healthcheck,
    label,
    maintainer,
    onbuild,
    shell,
    stopsignal,
    user,
    volume,
    workdir,
)
from sampan.kit.record import Record
from sampan.spec import oci_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.build.instructions.base import Instruction
    from sampan.build.scope import Platform

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ["/bin/sh", "-c"]


class Layer(Record):
    descriptor: dict[str, Any]
    diff_id: str


class State(Record):
    config: dict[str, Any]  # an OCI image config without rootfs
    layers: tuple[Layer, ...] = ()
    commanded: bool = False  # a CMD stood in this stage, which ENTRYPOINT leaves alone

    @property
    def inner(self) -> dict[str, Any]:
        inner: dict[str, Any] = self.config.get("config") or {}
        return inner

    @property
    def chain_id(self) -> str | None:
        chain = oci_image.chain_ids(layer.diff_id for layer in self.layers)
        return chain[-1] if chain else None

    @property
    def env(self) -> dict[str, str]:
        pairs = (text.partition("=") for text in self.inner.get("Env") or [])
        return {name: value for name, _, value in pairs}

    @property
    def shell(self) -> list[str]:
        return list(self.inner.get("Shell") or DEFAULT_SHELL)

    @property
    def document(self) -> dict[str, Any]:
        diff_ids = [layer.diff_id for layer in self.layers]
        return {**self.config, "rootfs": {"type": "layers", "diff_ids": diff_ids}}

    @property
    def image_id(self) -> str:
        return oci_image.digest_of(oci_image.encode(self.document))

    def having(self, **values: Any) -> State:
        """With other values in the inner config; None and empty ones are left out."""
        inner = {**self.inner, **values}
        return self.replace(
            config={**self.config, "config": {k: v for k, v in inner.items() if v is not None}}
        )

    def begun(self, created: str) -> State:
        """As FROM has it: a date if one is given, and a PATH where the image has none."""
        made = self.replace(config={**self.config, "created": created or self.config["created"]})
        if "PATH" in made.env:
            return made
        return made.having(Env=[*(made.inner.get("Env") or []), f"PATH={DEFAULT_PATH}"])

    def noting(self, created_by: str, layer: Layer | None = None) -> State:
        """With a history entry, and the layer that it made."""
        entry: dict[str, Any] = {"created": self.config["created"], "created_by": created_by}
        if self.config.get("author"):
            entry["author"] = self.config["author"]
        if layer is None:
            entry["empty_layer"] = True
        config = {**self.config, "history": [*(self.config.get("history") or []), entry]}
        return self.replace(config=config, layers=(*self.layers, layer) if layer else self.layers)


def scratch(platform: Platform, created: str) -> State:
    config: dict[str, Any] = {
        "created": created,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Env": [f"PATH={DEFAULT_PATH}"], "WorkingDir": "/"},
        "history": [],
    }
    if platform.variant:
        config["variant"] = platform.variant
    return State(config=config)


# As `commit` writes them, and an inline cache: the base's own.
_NOT_INHERITED = ("rootfs", "container", "container_config", "moby.buildkit.cache.v0")


def based(config: dict[str, Any], layers: tuple[Layer, ...], created: str = "") -> State:
    kept = {key: value for key, value in config.items() if key not in _NOT_INHERITED}
    kept["created"] = created or config.get("created") or moment(0)
    kept["config"] = dict(config.get("config") or {})
    return State(config=kept, layers=layers)


def moment(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def after(state: State, step: Instruction) -> State | None:
    """What a metadata instruction (already expanded) makes of it; None: it is none of them."""
    changed = _changed(state, step)
    if changed is None or isinstance(step, onbuild.Onbuild):  # BuildKit's history leaves it out
        return changed
    return changed.noting(f"/bin/sh -c #(nop)  {_told(step, changed)}")


def _changed(state: State, step: Instruction) -> State | None:
    match step:
        case env.Env():
            return state.having(Env=_env(state, step))
        case label.Label():
            return state.having(Labels={**(state.inner.get("Labels") or {}), **dict(step.pairs)})
        case cmd.Cmd():
            made = state.having(Cmd=_command(state, step.args, step.shell))
            return made.replace(commanded=True)
        case entrypoint.Entrypoint():
            made = state.having(Entrypoint=_command(state, step.args, step.shell))
            return made if state.commanded else made.having(Cmd=None)
        case expose.Expose():
            return state.having(
                ExposedPorts={**(state.inner.get("ExposedPorts") or {}), **_ports(step)}
            )
        case volume.Volume():
            return state.having(
                Volumes={**(state.inner.get("Volumes") or {}), **{p: {} for p in step.paths}}
            )
        case maintainer.Maintainer():
            return state.replace(config={**state.config, "author": step.author})
        case _:
            return _changed_more(state, step)


def _changed_more(state: State, step: Instruction) -> State | None:
    match step:
        case user.User():
            return state.having(User=step.user)
        case stopsignal.StopSignal():
            return state.having(StopSignal=step.signal)
        case shell.Shell():
            return state.having(Shell=list(step.args))
        case onbuild.Onbuild():
            return state.having(OnBuild=[*(state.inner.get("OnBuild") or []), step.expression])
        case healthcheck.Healthcheck():
            return state.having(Healthcheck=_health(step))
        case workdir.Workdir():
            return state.having(WorkingDir=directory(state, step.path))
        case _:
            return None


def directory(state: State, path: str) -> str:
    return posixpath.normpath(posixpath.join("/", state.inner.get("WorkingDir") or "/", path))


def _env(state: State, step: env.Env) -> list[str]:
    merged = {**state.env, **dict(step.pairs)}
    return [f"{name}={value}" for name, value in merged.items()]


def _command(state: State, args: tuple[str, ...], shell_form: bool) -> list[str]:
    return [*state.shell, *args] if shell_form and args else list(args)


def _ports(step: expose.Expose) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in step.ports:
        ports, _, protocol = text.partition("/")
        wanted = ports.rpartition(":")[2]
        first, _, last = wanted.partition("-")
        if not _is_range(first, last or first):
            raise DockerfileError(f"invalid containerPort: {wanted}")
        for port in range(int(first), int(last or first) + 1):
            found[f"{port}/{(protocol or 'tcp').lower()}"] = {}
    return found


def _is_range(first: str, last: str) -> bool:
    return first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= 65535


def _health(step: healthcheck.Healthcheck) -> dict[str, Any]:
    values = {
        "Test": list(step.test),
        "Interval": step.interval,
        "Timeout": step.timeout,
        "StartPeriod": step.start_period,
        "StartInterval": step.start_interval,
        "Retries": step.retries,
    }
    return {key: value for key, value in values.items() if value}


def _told(step: Instruction, state: State) -> str:
    """The instruction as `docker history` shows it."""
    name = step.name.upper()
    match step:
        case env.Env() | label.Label():
            return f"{name} " + " ".join(f"{key}={value}" for key, value in step.pairs)
        case cmd.Cmd():
            return f"{name} {json.dumps(state.inner['Cmd'], ensure_ascii=False)}"
        case entrypoint.Entrypoint():
            return f"{name} {json.dumps(state.inner['Entrypoint'], ensure_ascii=False)}"
        case workdir.Workdir():
            return f"{name} {state.inner['WorkingDir']}"
        case expose.Expose():
            return f"{name} {' '.join(sorted(_ports(step)))}"
        case volume.Volume():
            return f"{name} {json.dumps(list(step.paths), ensure_ascii=False)}"
        case _:
            pass
    return f"{name} {step.statement.original.strip().partition(' ')[2].strip()}"
