"""`RUN --mount=type=bind|cache|tmpfs|secret|ssh,…`: what a step sees besides its layers.

A value may hold variables, so that the whole is understood only when the step is planned (`parse`);
`check` refuses at once what no value can heal.
"""

from __future__ import annotations

import posixpath
import re

from sampan.build.errors import DockerfileError
from sampan.build.instructions import csv
from sampan.build.instructions.base import did_you_mean
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly",
            "rw": "readwrite"}  # fmt: skip
_KEYS = ("type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required",
         "size", "mode", "uid", "gid", "env")  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)


class Mount(Record):
    type: str = "bind"
    origin: str = ""  # from=
    source: str = ""
    target: str = ""
    read_only: bool = True
    id: str = ""
    sharing: str = ""
    required: bool = False
    size: int = 0
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    @property
    def secret(self) -> str:
        """By which name the client knows it."""
        return self.id or self.source or posixpath.basename(self.target)

    @property
    def cache_mode(self) -> int:
        return 0o755 if self.mode is None else self.mode

    @property
    def cache_key(self) -> str:
        """Of a cache: what is another one for another owner or mode, as in BuildKit."""
        name = self.id or self.target
        if (self.uid, self.gid, self.mode) == (None, None, None):
            return name
        return f"{name}\0{self.uid or 0} {self.gid or 0} {self.cache_mode:o}"


def check(text: str) -> None:
    for field in csv.fields(text, "mounts"):
        key, _, value = field.partition("=")
        if key.lower() == "from" and "$" in value[:-1]:
            # It decides the order of the stages, before any variable has a value.
            raise DockerfileError(
                f"'{key.lower()}' doesn't support variable expansion, define alias stage instead"
            )
    if "$" not in text:
        parse(text, str)


def origin(text: str) -> str:
    """The stage, image or context of its `from`, which holds no variable."""
    pairs = (field.partition("=") for field in csv.fields(text, "mounts"))
    return next((value for key, _, value in pairs if key.lower() == "from"), "")


def parse(text: str, expand: Callable[[str], str]) -> Mount:
    values: dict[str, str | None] = {}
    for field in csv.fields(text, "mounts"):
        key, equals, value = field.partition("=")
        key = key.lower()
        name = _ALIASES.get(key, key)
        if name not in _KEYS:
            if not equals:
                raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
            known = (*_KEYS, *_ALIASES)
            raise DockerfileError(f"unexpected key '{key}' in '{field}'{did_you_mean(key, known)}")
        if not equals and name not in ("readonly", "readwrite", "required"):
            raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
        values[name] = expand(value) if equals else None
    return _checked(_mount(values))


def _mount(values: dict[str, str | None]) -> Mount:
    kind = _one_of("mount type", (values.get("type") or "bind").lower(), TYPES)
    _only_for(kind, values)
    sharing = values.get("sharing") or ""
    return Mount(
        type=kind,
        origin=values.get("from") or "",
        source=values.get("source") or "",
        target=values.get("target") or "",
        read_only=_read_only(kind, values),
        id=values.get("id") or "",
        sharing=_one_of("sharing value", sharing.lower(), SHARING) if sharing else "",
        required=_flag(values, "required") or False,
        size=_bytes(values["size"] or "") if "size" in values else 0,
        env=values.get("env"),
        mode=_number(values, "mode", 8),
        uid=_number(values, "uid", 10),
        gid=_number(values, "gid", 10),
    )


def _one_of(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise DockerfileError(f'unsupported {what} "{value}"{did_you_mean(value, known)}')
    return value


def _only_for(kind: str, values: dict[str, str | None]) -> None:
    for key, kinds in (("required", ("secret", "ssh")), ("size", ("tmpfs",))):
        if key in values and kind not in kinds:
            raise DockerfileError(f"unexpected key '{key}' for mount type '{kind}'")
    for key in ("mode", "uid", "gid"):
        if key in values and kind in ("bind", "tmpfs"):
            raise DockerfileError(f'{key} not allowed for "{kind}" type mounts')


def _flag(values: dict[str, str | None], key: str) -> bool | None:
    if key not in values:
        return None
    value = values[key]
    return True if value is None else csv.boolean(key, value)


def _read_only(kind: str, values: dict[str, str | None]) -> bool:
    read_only, read_write = _flag(values, "readonly"), _flag(values, "readwrite")
    if read_write is not None:
        return not read_write
    return kind not in ("cache", "tmpfs") if read_only is None else read_only


def _number(values: dict[str, str | None], key: str, base: int) -> int | None:
    if key not in values:
        return None
    text = values[key] or ""
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 32 or not text.isdecimal():
        raise DockerfileError(f"invalid value {text} for {key}")
    return number


def _bytes(text: str) -> int:
    match = _SIZE.match(text)
    if not match:
        raise DockerfileError(f"invalid value for size: {text}")
    return int(float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " "))


def _checked(mount: Mount) -> Mount:
    if mount.sharing and mount.type != "cache":
        raise DockerfileError(f"invalid cache sharing set for {mount.type} mount")
    if mount.type == "secret":
        if mount.origin:
            raise DockerfileError("secret mount should not have a from")
        if not (mount.source or mount.target or mount.id):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if mount.source and mount.id:
            raise DockerfileError("both source and id can't be set")
    return mount
