"""The command line of `sampand`, made from the table of settings (`engine.settings.KEYS`)."""

from __future__ import annotations

import argparse
import os
from typing import Any

from sampan.engine import settings
from sampan.engine.settings import KEYS, Key, Settings


class Options:
    def __init__(self, values: dict[str, Any]) -> None:
        self.root: str | None = values.pop("root", None)
        self.run: str | None = values.pop("run", None)
        self.foreground: bool = values.pop("foreground", False)
        self.validate: bool = values.pop("validate", False)
        self._file: str | None = values.pop("config_file", None)
        self._flags = {name.replace("_", "-"): value for name, value in values.items()}

    def settings(self) -> Settings:
        """With the file's; raises BadSetting."""
        for key in KEYS:
            if key.kind == "map" and key.name in self._flags:
                self._flags[key.name] = _map(key.name, self._flags[key.name])
        named = self._file or os.environ.get("SAMPAN_CONFIG")
        return settings.load(named or settings.FILE, self._flags, must_exist=named is not None)


def parse(arguments: list[str]) -> Options:
    """Exits with 2 and a usage line for what it does not know."""
    return Options(vars(parser().parse_args(arguments)))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="sampand",
        description="The Sampan container engine.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    made.add_argument("--root", "--data-root", metavar="DIR", help="state that survives a reboot")
    made.add_argument("--run", metavar="DIR", help="sockets, locks and other passing state")
    made.add_argument("--foreground", action="store_true", help="stay; log to standard error")
    made.add_argument(
        "--config-file",
        metavar="FILE",
        help=f"settings as JSON (SAMPAN_CONFIG, or {settings.FILE})",
    )
    made.add_argument("--validate", action="store_true", help="check the settings, start nothing")
    for key in KEYS:
        if key.flag:
            _add(made, key)
    return made


def _add(made: argparse.ArgumentParser, key: Key) -> None:
    singular = {"hosts": "host", "labels": "label", "log-opts": "log-opt", "dns-opts": "dns-opt"}
    singular |= {"cluster-store-opts": "cluster-store-opt", "exec-opts": "exec-opt"}
    name = singular.get(key.name, key.name)
    flags = [f"-{key.short}"] * bool(key.short) + [f"--{name}"]
    target = key.name.replace("-", "_")
    if key.kind == "bool" and name.startswith("no-"):  # Python 3.14 has no `--no-no-…`
        made.add_argument(*flags, dest=target, help=key.help, action="store_true")
    elif key.kind == "bool":
        made.add_argument(*flags, dest=target, help=key.help, action=argparse.BooleanOptionalAction)
    else:
        action = "append" if key.kind in ("list", "map") else "store"
        made.add_argument(*flags, dest=target, help=key.help, action=action, metavar=key.metavar)


def _map(name: str, items: list[str]) -> dict[str, str]:
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise settings.BadSetting(f"{name}: {item!r} is not KEY=VALUE")
        found[key] = value
    return found
