"""Every problem of a config.json, without doing anything.

First the types of all properties; where they are right, each area is checked by the function that
`create` uses, so that both say the same. An area names its first problem.
"""

from __future__ import annotations

import os

from sampan.kit import errors as kinds
from sampan.runtime import (
    devices,
    errors,
    hooks,
    mount_plan,
    namespace_plan,
    process_plan,
    special,
    tuning,
)
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def problems(document: object, bundle: str) -> list[str]:
    wrong = oci_runtime.problems(document)
    if wrong:
        return wrong
    config = oci_runtime.parse(document)
    found = [_failure(check) for check in _checks(config, bundle)]
    return [text for text in found if text]


def _failure(check: Callable[[], Any]) -> str:
    try:
        check()
    except (kinds.SampanError, OSError) as error:
        return str(error)
    return ""


def _checks(config: oci_runtime.Config, bundle: str) -> Iterator[Callable[[], Any]]:
    linux, process = config.linux, config.process
    kinds_ = {item.type: item.path for item in linux.namespaces}
    yield lambda: _version(config.oci_version)
    yield lambda: _root(config, bundle)
    if process:
        bare = process.replace(rlimits=(), **_UNTUNED)
        yield lambda: process_plan.make(bare, {}, user_namespace="user" in kinds_)
        yield lambda: process_plan.make(
            oci_runtime.Process(args=("x",), rlimits=process.rlimits), {}, user_namespace=False
        )
        yield lambda: tuning.make(process, linux.memory_policy, "")
    for item in config.mounts:
        yield lambda item=item: mount_plan.make(item, bundle)  # type: ignore[misc]
    yield lambda: hooks.check(config.hooks)
    yield lambda: _close(namespace_plan.make(linux)[1])
    yield lambda: devices.plan(linux.devices)
    for name, value in linux.sysctl.items():
        yield lambda n=name, v=value: namespace_plan.sysctl({n: v}, linux)  # type: ignore[misc]
    yield lambda: special.make(config)
    if linux.seccomp:
        filtered = oci_runtime.Process(args=("x",))
        yield lambda: process_plan.make(filtered, linux.seccomp, user_namespace=False)


_UNTUNED: dict[str, Any] = {
    "scheduler": {},
    "io_priority": {},
    "exec_cpu_affinity": {},
    "apparmor_profile": "",
    "selinux_label": "",
}


def _version(text: str) -> None:
    if text.split(".")[0] != "1":
        raise errors.InvalidConfig(f"ociVersion: {text!r} is no version 1 of the specification")


def _root(config: oci_runtime.Config, bundle: str) -> None:
    if config.root is None:
        raise errors.InvalidConfig("root is missing")
    path = os.path.join(bundle, config.root.path)
    if not os.path.isdir(path):
        raise errors.InvalidConfig(f"root.path: {path} is not a directory")


def _close(joined: tuple[tuple[str, int], ...]) -> None:
    for _kind, fd in joined:
        os.close(fd)
