"""Who a container's process is: Docker's `user[:group]` against the image's own files.

passwd(5), group(5). The texts come from the container's root file system and are not trusted: a
line that does not parse is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.kit import errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX = 2**31 - 1


class Identity(Record):
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def resolve(user: str, passwd: bytes, group: bytes, extra: Iterable[str] = ()) -> Identity:
    """`""`, `name`, `uid`, each with `:group`; `extra` is --group-add."""
    name, _, group_name = user.partition(":")
    accounts, groups = _accounts(passwd), _groups(group)
    account = _find_account(name, accounts)
    if account is None and name and not name.isdecimal():
        raise errors.InvalidArgument(
            f"unable to find user {name}: no matching entries in passwd file"
        )
    if account is None:
        uid = _number(name or "0", "uids")
        account = ("", uid, 0, "/")
    login, uid, gid, home = account
    more: list[int] = []
    if group_name:
        gid = _group_id(group_name, groups)
    else:
        more = [number for _, number, members in groups if login and login in members]
    more += [_group_id(item, groups) for item in extra]
    ordered = dict.fromkeys(more)
    return Identity(uid=uid, gid=gid, groups=tuple(ordered), home=home or "/")


def _find_account(
    name: str, accounts: list[tuple[str, int, int, str]]
) -> tuple[str, int, int, str] | None:
    for account in accounts:
        if account[0] == name or (name.isdecimal() and account[1] == int(name)):
            return account
        if not name and account[1] == 0:
            return account
    return None


def _group_id(name: str, groups: list[tuple[str, int, list[str]]]) -> int:
    for known, number, _ in groups:
        if known == name:
            return number
    if not name.isdecimal():
        raise errors.InvalidArgument(
            f"unable to find group {name}: no matching entries in group file"
        )
    return _number(name, "gids")


def _number(text: str, what: str) -> int:
    if not text.isdecimal() or int(text) > _MAX:
        raise errors.InvalidArgument(f"{what} and gids must be in range 0-{_MAX}")
    return int(text)


def _accounts(text: bytes) -> list[tuple[str, int, int, str]]:
    found = []
    for fields in _lines(text):
        if len(fields) >= 6 and fields[2].isdecimal() and fields[3].isdecimal():
            found.append((fields[0], int(fields[2]), int(fields[3]), fields[5]))
    return found


def _groups(text: bytes) -> list[tuple[str, int, list[str]]]:
    found = []
    for fields in _lines(text):
        if len(fields) >= 3 and fields[2].isdecimal():
            members = fields[3].split(",") if len(fields) > 3 else []
            found.append((fields[0], int(fields[2]), members))
    return found


def _lines(text: bytes) -> list[list[str]]:
    lines = text.decode("utf-8", "replace").splitlines()
    return [line.split(":") for line in lines if line and not line.startswith("#")]
