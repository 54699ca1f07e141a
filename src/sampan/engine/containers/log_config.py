"""`HostConfig.LogConfig`: checked with Docker's words, and as the monitor's `Log`.

    check(host_config)              at create
    log = resolve(container)        at start: paths, tag, and a receiver's name as its address

json-file and local write the same files; local only has other defaults (five files of 20 MB,
compressed). journald and syslog send each line away and, like dockerd, keep a cache of the same
form as local's to read from, unless `cache-disabled=true`.
"""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sampan.kit import errors
from sampan.shim import protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.engine.containers.container import Container
    from sampan.engine.settings import Settings

DEFAULT = "json-file"
_COMMON = ("labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size")
_FILES = ("max-size", "max-file", "compress")
_CACHE = ("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
_OPTIONS = {
    "none": (*_COMMON, *_FILES),
    "json-file": (*_COMMON, *_FILES),
    "local": (*_COMMON, *_FILES),
    "journald": (*_COMMON, *_CACHE),
    "syslog": (*_COMMON, *_CACHE, "syslog-address", "syslog-facility", "syslog-format"),
}
DRIVERS = tuple(_OPTIONS)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "security", "console", "solaris-cron"),
    *(f"local{number}" for number in range(8)),
)
_FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_TAG = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_PORT = 514


def check(host: dict[str, Any]) -> None:
    """Refuse what the driver does not know."""
    config = host.get("LogConfig") or {}
    driver, options = config.get("Type") or DEFAULT, config.get("Config") or {}
    if driver not in _OPTIONS:
        raise errors.InvalidArgument(f"logger: no log driver named '{driver}' is registered")
    for name in options:
        if name not in _OPTIONS[driver]:
            raise errors.InvalidArgument(f"unknown log opt '{name}' for {driver} log driver")
    _check_files(options)
    if options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise errors.InvalidArgument(
            f"logger: logging mode '{options['mode']}' not supported; "
            "there are blocking and non-blocking"
        )
    if "max-buffer-size" in options and options.get("mode") != "non-blocking":
        raise errors.InvalidArgument(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        )
    _tag(options, {})
    if driver == "syslog":
        _check_syslog(options)


def _check_syslog(options: dict[str, str]) -> None:
    _facility(options)
    _receiver(options)
    if options.get("syslog-format", "") not in _FORMATS:
        raise errors.InvalidArgument(f"Invalid syslog format: {options['syslog-format']}")


def filled(host: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """`LogConfig` with the engine's defaults, whose options are for its own driver only."""
    config = host.get("LogConfig") or {}
    usual = settings["log-driver"]
    driver = config.get("Type") or usual
    options = settings["log-opts"] if driver == usual else {}
    return {"Type": driver, "Config": {**options, **(config.get("Config") or {})}}


def _check_files(options: dict[str, str]) -> None:
    for name in ("compress", "cache-compress", "cache-disabled"):
        _flag(options, name)
    for name in ("max-size", "cache-max-size", "max-buffer-size"):
        if name in options:
            size(name, options[name])
    for name in ("max-file", "cache-max-file"):
        if name in options and not (options[name].isdecimal() and int(options[name]) > 0):
            raise errors.InvalidArgument(f"{name} must be a positive number, not '{options[name]}'")


def readable(host: dict[str, Any]) -> bool:
    """Whether `docker logs` has something to read."""
    config = host.get("LogConfig") or {}
    if config.get("Type") == "none":
        return False
    return not _flag(config.get("Config") or {}, "cache-disabled")


def resolve(container: Container) -> protocol.Log:
    """May look a receiver's name up in the DNS, then it is for a thread (`waits`)."""
    config = container.host_config.get("LogConfig") or {}
    driver, options = config.get("Type") or DEFAULT, config.get("Config") or {}
    if driver == "none":
        return protocol.Log()
    attributes = _attributes(container, options)
    tag = _tag(options, _words(container))
    log = protocol.Log(
        driver=driver,
        path=container.log_path if readable(container.host_config) else "",
        blocking=options.get("mode") != "non-blocking",
        buffer=size("max-buffer-size", options.get("max-buffer-size") or "1m"),
        **_rotation(driver, options),
    )
    if driver == "journald":
        return log.replace(fields=_journal_fields(container, tag, attributes))
    if driver == "syslog":
        return _syslog(log, options, tag)
    return log.replace(labels={**attributes, **({"tag": tag} if options.get("tag") else {})})


def waits(container: Container) -> bool:
    return bool((container.host_config.get("LogConfig") or {}).get("Type") == "syslog")


def _rotation(driver: str, options: dict[str, str]) -> dict[str, Any]:
    prefix = "" if driver in ("json-file", "local") else "cache-"
    usual = ("0", "1", False) if driver == "json-file" else ("20m", "5", True)
    return {
        "max_size": size("max-size", options.get(f"{prefix}max-size") or usual[0]),
        "max_file": int(options.get(f"{prefix}max-file") or usual[1]),
        "compress": _flag(options, f"{prefix}compress", usual=usual[2]),
    }


def size(name: str, text: str) -> int:
    """`10m` in bytes; -1 is no limit. Powers of 1000 for files, as go-units' FromHumanSize."""
    match = _SIZE.fullmatch(text)
    if match is None:
        if text == "-1":
            return 0
        raise errors.InvalidArgument(f"invalid {name}: '{text}' (for example 10m)")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if name == "max-buffer-size" else 1000) ** power)


def _flag(options: dict[str, str], name: str, *, usual: bool = False) -> bool:
    text = options.get(name)
    if text is None or text == "":
        return usual
    if text.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise errors.InvalidArgument(f"{name} must be true or false, not '{text}'")
    return text.lower() in ("true", "1", "t")


# ---- what is said with each line


def _words(container: Container) -> dict[str, str]:
    """The words of a tag: https://docs.docker.com/engine/logging/log_tags/"""
    config = container.config
    return {
        "ID": container.id[:12],
        "FullID": container.id,
        "Name": container.name,
        "ImageID": container.image_id.removeprefix("sha256:")[:12],
        "ImageFullID": container.image_id,
        "ImageName": config.get("Image") or "",
        "DaemonName": "docker",
        "Command": " ".join([*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]),
    }


def _tag(options: dict[str, str], words: dict[str, str]) -> str:
    template = options.get("tag") or "{{.ID}}"
    known = words or dict.fromkeys(
        ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Command"), ""
    )

    def word(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise errors.InvalidArgument(
                f"log opt tag: no word .{match[1]}; there are {', '.join(known)}"
            )
        return known[match[1]]

    text = _TAG.sub(word, template)
    if "{{" in _TAG.sub("", template):
        raise errors.InvalidArgument(f"log opt tag: '{template}' is not a template of words")
    return text


def _attributes(container: Container, options: dict[str, str]) -> dict[str, str]:
    variables = dict(text.partition("=")[::2] for text in container.config.get("Env") or ())
    return {
        **_chosen(container.labels, options.get("labels"), options.get("labels-regex")),
        **_chosen(variables, options.get("env"), options.get("env-regex")),
    }


def _chosen(values: dict[str, str], names: str | None, regex: str | None) -> dict[str, str]:
    wanted: Callable[[str], object] = re.compile(regex).search if regex else lambda _: False
    listed = (names or "").split(",")
    return {name: value for name, value in values.items() if name in listed or wanted(name)}


def _journal_fields(container: Container, tag: str, attributes: dict[str, str]) -> dict[str, str]:
    fields = {
        "CONTAINER_ID": container.id[:12],
        "CONTAINER_ID_FULL": container.id,
        "CONTAINER_NAME": container.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": container.config.get("Image") or "",
        "SYSLOG_IDENTIFIER": tag,
    }
    for name, value in attributes.items():  # letters, digits, underscores; not one at the start
        fields[re.sub(r"[^A-Z0-9_]", "_", name.upper()).lstrip("_")] = value
    return fields


# ---- syslog


def _syslog(log: protocol.Log, options: dict[str, str], tag: str) -> protocol.Log:
    kind, address, port = _receiver(options)
    usual = "unix" if kind.startswith("unix") else "rfc3164"
    fields = {
        "kind": kind,
        "tag": tag,
        "format": options.get("syslog-format") or usual,
        "facility": str(_facility(options)),
    }
    if port:
        fields["port"] = str(port)
        address = _numeric(address, port)
    elif kind == "unix":
        fields["kind"] = _socket_kind(address)
    return log.replace(address=address, fields=fields)


def _facility(options: dict[str, str]) -> int:
    text = options.get("syslog-facility") or "daemon"
    if text in _FACILITIES:
        return _FACILITIES.index(text)
    if text.isdecimal() and int(text) <= 23:
        return int(text)
    raise errors.InvalidArgument("invalid syslog facility")


def _receiver(options: dict[str, str]) -> tuple[str, str, int]:
    """(udp, tcp, unix or unixgram; path or host; port or 0)."""
    text = options.get("syslog-address") or "unix:///dev/log"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise errors.InvalidArgument(f"syslog-address: '{text}' is not an address") from None
    if url.scheme in ("unix", "unixgram"):
        if not url.path:
            raise errors.InvalidArgument(f"syslog-address: '{text}' has no path")
        return url.scheme, url.path, 0
    if url.scheme == "tcp+tls":
        raise errors.Unsupported("syslog-address: tcp+tls is not supported; use tcp or udp")
    if url.scheme not in ("udp", "tcp") or not url.hostname:
        raise errors.InvalidArgument(
            f"syslog-address should be in form proto://address, got '{text}'"
        )
    return url.scheme, url.hostname, port or _PORT


def _socket_kind(path: str) -> str:
    """unix:// may be either; most receivers, /dev/log among them, take datagrams."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(path)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                return "unixgram"  # the monitor says what is wrong
            return "unix"
    return "unixgram"


def _numeric(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise errors.Unavailable(
            f"failed to initialize logging driver: syslog: look up {host}: {error.strerror}"
        ) from error
    return str(found[0][4][0])
