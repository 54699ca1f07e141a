"""Every problem of a config.json, without doing anything.

First the types of all properties; where they are right, each area is checked by the function that
`create` uses: what this calls an error, `create` refuses with the same sentence, the first.
An area names its first problem.
"""

from __future__ import annotations

import os

from sampan.kit import errors as kinds
from sampan.runtime import (
    cgroups,
    devices,
    hooks,
    mount_plan,
    namespace_plan,
    plan,
    process_plan,
    rootless,
    special,
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
    users = "user" in {item.type for item in linux.namespaces}
    yield lambda: plan.check_version(config.oci_version)
    yield lambda: plan.find_root(config.root, bundle)
    if process:
        bare = process.replace(rlimits=(), **_UNTUNED)
        yield lambda: process_plan.make(bare, {}, user_namespace=users)
        yield lambda: process_plan.make(
            oci_runtime.Process(args=("x",), rlimits=process.rlimits), {}, user_namespace=False
        )
        yield lambda: process_plan.tune(process, linux)
    if os.geteuid():
        yield lambda: rootless.check(config)
    for item in config.mounts:
        yield lambda item=item: mount_plan.make(item, bundle, user_namespace=users)  # type: ignore[misc]
    yield lambda: plan.check_fit(config)
    yield lambda: hooks.check(config.hooks)
    yield lambda: _close(namespace_plan.make(linux)[1])
    yield lambda: devices.plan(linux.devices)
    for name, value in linux.sysctl.items():
        yield lambda n=name, v=value: namespace_plan.sysctl({n: v}, linux)  # type: ignore[misc]
    yield lambda: cgroups.check_path(linux.cgroups_path)
    yield lambda: special.make(config)
    yield lambda: process_plan.personality(linux.personality)
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


def _close(joined: tuple[tuple[str, int], ...]) -> None:
    for _kind, fd in joined:
        os.close(fd)
