"""How an engine is told what to do: one table of keys, for the file and for the command line.

    settings = load("/etc/sampan/sampand.json", {"debug": True})
    settings["log-driver"], settings["hosts"]

The file is a JSON object with the names of Docker's daemon.json. An unknown key, a value of another
kind, or a key that is both in the file and on the command line ends the start with a sentence that
names it. Keys that cross rooms are checked where they are used (`check`).
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any
from urllib.parse import urlsplit

from sampan.engine import cgroups, runtimes, user_namespaces
from sampan.engine.containers import log_config
from sampan.engine.shared import choice as choice_of_store
from sampan.image import choice
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.registry import hosts

FILE = "/etc/sampan/sampand.json"
_WORDS = {
    "string": (str, "a string"),
    "bool": (bool, "true or false"),
    "int": (int, "a number"),
    "list": (list, "a list"),
    "map": (dict, "an object"),
}


_CHOICES = {
    "default-cgroupns-mode": ("private", "host"),
    "log-format": ("text", "json"),
    "log-level": ("debug", "info", "warn", "error", "fatal"),
}


class Key(Record):
    """`kind`: string, bool, int, list (of strings), map. Without `flag`: for the file alone."""

    name: str
    kind: str
    help: str
    default: Any = None
    flag: bool = True
    short: str = ""
    metavar: str = ""


KEYS = (
    Key(name="hosts", kind="list", short="H", metavar="ADDRESS",
        help="listen there too: unix:///PATH, tcp://HOST:PORT, fd:// (systemd's sockets)"),
    Key(name="group", kind="string", default="", metavar="GROUP",
        help="the group that may use the unix sockets (docker, sampan, whichever exists)"),
    Key(name="tls", kind="bool", help="speak TLS on tcp addresses; false says that none is meant"),
    Key(name="tlsverify", kind="bool", default=False, help="speak TLS and ask clients for theirs"),
    Key(name="tlscacert", kind="string", default="", metavar="FILE", help="who signs clients"),
    Key(name="tlscert", kind="string", default="", metavar="FILE", help="the engine's certificate"),
    Key(name="tlskey", kind="string", default="", metavar="FILE", help="its key"),
    Key(name="debug", kind="bool", default=False, short="D", help="log more"),
    Key(name="log-format", kind="string", default="text", metavar="FORM",
        help="of the engine's own log: text, or json (an object a line)"),
    Key(name="log-level", kind="string", default="info", metavar="LEVEL",
        help="least level that is logged: debug, info, warn, error, fatal"),
    Key(name="experimental", kind="bool", default=False,
        help="say that this engine has Docker's experimental features"),
    Key(name="labels", kind="list", metavar="KEY=VALUE", help="labels of this engine"),
    Key(name="default-runtime", kind="string", default="sampan", metavar="NAME",
        help="the OCI runtime of containers that name none"),
    Key(name="runtimes", kind="map", flag=False,
        help='other OCI runtimes: {"NAME": {"path": "/usr/bin/crun", "runtimeArgs": []}}'),
    Key(name="log-driver", kind="string", default="json-file", metavar="NAME",
        help="the log driver of containers that name none"),
    Key(name="log-opts", kind="map", metavar="KEY=VALUE", help="its options"),
    Key(name="bip", kind="string", default="", metavar="CIDR",
        help="address and subnet of the default bridge"),
    Key(name="default-address-pools", kind="list", flag=False,
        help='subnets for new networks: [{"base": "10.10.0.0/16", "size": 24}]'),
    Key(name="ip", kind="string", default="", metavar="ADDRESS",
        help="where ports are published that name no address"),
    Key(name="cluster-store", kind="string", default="", metavar="URL",
        help="where hosts tell each other about overlay networks: etcd://HOST:PORT[,HOST:PORT...]"
        "[/PREFIX], sqlite:///FILE"),
    Key(name="cluster-advertise", kind="string", default="", metavar="ADDRESS|INTERFACE",
        help="where the other hosts reach this one; else what packets to etcd come from"),
    Key(name="cluster-store-opts", kind="map", metavar="KEY=VALUE",
        help="kv.cacertfile, kv.certfile, kv.keyfile (TLS); kv.username, kv.passwordfile; "
        "discovery.heartbeat, discovery.ttl, addresses.ttl (seconds)"),
    Key(name="dns", kind="list", metavar="ADDRESS", help="name servers of containers"),
    Key(name="dns-search", kind="list", metavar="DOMAIN", help="search domains of containers"),
    Key(name="dns-opts", kind="list", metavar="OPTION", help="resolver options of containers"),
    Key(name="default-ulimits", kind="map", flag=False,
        help='{"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}}'),
    Key(name="default-shm-size", kind="string", default="64m", metavar="BYTES",
        help="size of /dev/shm"),
    Key(name="default-cgroupns-mode", kind="string", default="private", metavar="MODE",
        help="private or host"),
    Key(name="cgroup-parent", kind="string", default="", metavar="PATH",
        help="the cgroup above all containers'; with systemd's driver a slice"),
    Key(name="exec-opts", kind="list", metavar="KEY=VALUE",
        help="native.cgroupdriver=systemd or cgroupfs: who makes containers' cgroups; else systemd "
        "where it is PID 1 and cgroup v2 is all there is"),
    Key(name="storage-driver", kind="string", default="", metavar="NAME",
        help="the snapshotter: erofs, overlay or native; else the first of them that works"),
    Key(name="lazy-pull", kind="bool", default=False,
        help="start containers before their eStargz layers are complete; pull the rest behind"),
    Key(name="init", kind="bool", default=False, help="a small reaper as PID 1 of every container"),
    Key(name="no-new-privileges", kind="bool", default=False,
        help="set no_new_privs for every container"),
    Key(name="cdi-spec-dirs", kind="list", metavar="DIRECTORY",
        help="where descriptions of CDI devices are (/etc/cdi, /var/run/cdi)"),
    Key(name="userns-remap", kind="string", default="", metavar="USER[:GROUP]",
        help="run containers as this user's subordinate ids (subuid(5)); default: sampan's, else "
        "dockremap's"),
    Key(name="registry-mirrors", kind="list", metavar="URL",
        help="ask there first for images of Docker Hub (other registries: hosts.toml)"),
    Key(name="insecure-registries", kind="list", metavar="HOST[:PORT]|CIDR",
        help="registries without a certificate that can be checked, or without TLS"),
    Key(name="metrics-addr", kind="string", default="", metavar="HOST:PORT",
        help="serve metrics for Prometheus there"),
)  # fmt: skip
BY_NAME = {key.name: key for key in KEYS}


class BadSetting(errors.InvalidArgument): ...


class Settings:
    """Values by key; what nobody set has its default."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self._values = values or {}

    def __getitem__(self, name: str) -> Any:
        key = BY_NAME[name]
        if name in self._values:
            return self._values[name]
        return {"list": [], "map": {}}.get(key.kind, key.default)


def load(path: str, flags: dict[str, Any], *, must_exist: bool = False) -> Settings:
    """The file's values and the command line's, checked; raises BadSetting."""
    values = _read(path, must_exist)
    for name, value in values.items():
        key = BY_NAME.get(name)
        if key is None:
            raise BadSetting(f"{path}: there is no setting {name!r}")
        kind, word = _WORDS[key.kind]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise BadSetting(f"{path}: {name} must be {word}, not {json.dumps(value):.60}")
        if name in flags:
            raise BadSetting(f"{name} is given both on the command line and in {path}")
    settings = Settings({**values, **flags})
    check(settings)
    return settings


def _read(path: str, must_exist: bool) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        if must_exist:
            raise BadSetting(f"{path} does not exist") from None
        return {}
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise BadSetting(f"{path}: it must be a JSON object")
    return found


def _check_choices(settings: Settings) -> None:
    for name, words in _CHOICES.items():
        if settings[name] not in words:
            raise BadSetting(f"{name} must be {', '.join(words[:-1])} or {words[-1]}")


def check(settings: Settings) -> None:
    """What needs no engine to be judged."""
    _address(settings, "ip")
    choice.check(settings["storage-driver"])
    for text in settings["dns"]:
        _is_address("dns", text)
    if settings["bip"]:
        try:
            interface = ipaddress.ip_interface(settings["bip"])
        except ValueError as error:
            raise BadSetting(f"bip: {error}") from None
        if interface.ip == interface.network.network_address:
            raise BadSetting(f"bip: {settings['bip']} is a subnet; name an address in it")
    _check_choices(settings)
    cgroups.asked(settings)
    address_pools(settings)
    _check_registries(settings)
    log_config.check(
        {"LogConfig": {"Type": settings["log-driver"], "Config": settings["log-opts"]}}
    )
    for name, runtime in settings["runtimes"].items():
        if not isinstance(runtime, dict) or not str(runtime.get("path") or "").strip():
            raise BadSetting(f"runtimes.{name}: it needs the path of a program")
        if not isinstance(runtime.get("runtimeArgs") or [], list):
            raise BadSetting(f"runtimes.{name}: runtimeArgs must be a list")
    choice_of_store.parse(settings)
    user_namespaces.find(settings["userns-remap"])
    if settings["default-runtime"] not in runtimes.table(settings):
        raise BadSetting(f"default-runtime: there is no runtime {settings['default-runtime']}")


def _check_registries(settings: Settings) -> None:
    for url in settings["registry-mirrors"]:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise BadSetting(f"registry-mirrors: {url!r} is no http or https address")
        if "@" in parts.netloc:
            raise BadSetting(
                f"registry-mirrors: {parts.hostname} has a user name in its address; credentials "
                "of a mirror are looked for in config.json and auth.json of the engine's user"
            )
    for text in settings["insecure-registries"]:
        if "/" in text:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError as error:
                raise BadSetting(f"insecure-registries: {error}") from None


def registries(settings: Settings) -> hosts.Config:
    """Where registries are reached, as the distribution client wants it."""
    return hosts.Config(
        insecure=tuple(settings["insecure-registries"]),
        mirrors=tuple(settings["registry-mirrors"]),
    )


def _address(settings: Settings, name: str) -> None:
    if settings[name]:
        _is_address(name, settings[name])


def _is_address(name: str, text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise BadSetting(f"{name}: {text!r} is not an address") from None


def address_pools(settings: Settings) -> list[tuple[Any, int]]:
    """(base, size of each subnet) of `default-address-pools`, both families."""
    found = []
    for pool in settings["default-address-pools"]:
        try:
            base, size = ipaddress.ip_network(pool["base"]), int(pool["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadSetting(f"default-address-pools: {pool!r}: {error}") from None
        if not base.prefixlen <= size <= base.max_prefixlen - 2:
            raise BadSetting(f"default-address-pools: no /{size} fits into {base}")
        found.append((base, size))
    return found
