import pytest

from sampan.engine import users
from sampan.kit import errors

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nbroken line\nweb:x:33:34:w:/var/www:/bin/false\n"
GROUP = b"root:x:0:\nweb:x:34:\nadm:x:4:web,root\nwheel:x:10:root\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, (4, 10), "/root")),
        ("root", (0, 0, (4, 10), "/root")),
        ("web", (33, 34, (4,), "/var/www")),
        ("33", (33, 34, (4,), "/var/www")),
        ("web:adm", (33, 4, (), "/var/www")),
        ("web:7", (33, 7, (), "/var/www")),
        ("1000", (1000, 0, (), "/")),
        ("1000:1001", (1000, 1001, (), "/")),
    ],
)
def test_users_are_found_as_docker_finds_them(
    user: str, expected: tuple[int, int, tuple[int, ...], str]
) -> None:
    found = users.resolve(user, PASSWD, GROUP)
    assert (found.uid, found.gid, found.groups, found.home) == expected


def test_group_add_takes_names_and_numbers() -> None:
    assert users.resolve("web", PASSWD, GROUP, ["wheel", "99"]).groups == (4, 10, 99)


@pytest.mark.parametrize("user", ["nobody", "web:nogroup", "99999999999"])
def test_unknown_ones_are_refused(user: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"unable to find|must be in range"):
        users.resolve(user, PASSWD, GROUP)
