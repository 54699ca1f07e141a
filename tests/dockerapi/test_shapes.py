"""What a body's fields may be, and how a wrong one is named."""

import pytest

from sampan.dockerapi import shapes
from sampan.kit import errors


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"HostConfig": {"Memory": "1g"}}, 'HostConfig.Memory must be a whole number, not "1g"'),
        ({"HostConfig": {"Memory": True}}, "HostConfig.Memory must be a whole number, not true"),
        ({"HostConfig": {"Memory": 2**63}}, "HostConfig.Memory must be a whole number"),
        ({"Tty": 1}, "Tty must be true or false, not 1"),
        ({"Env": "A=b"}, 'Env must be a list, not "A=b"'),
        ({"HostConfig": {"Mounts": [{}, {"Target": 1}]}}, "HostConfig.Mounts[1].Target must be"),
        ({"Labels": {"a": 1}}, "Labels.a must be a string, not 1"),
        ({"Env": ["A=\0"]}, 'Env[0]: "A=\\u0000" is no text'),
        ({"User": "\ud800"}, "User: "),
        ([], "the body must be an object, not []"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(body: object, words: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        shapes.check(body, shapes.CONTAINER)
    assert words in str(refused.value)


def test_it_reads_as_go_does() -> None:
    host = {"CPURealtimeRuntime": 5, "Mounts": [None], "Ulimits": [{"Name": "core"}]}
    body = {"image": "x", "cmd": "true", "Unknown": 1, "User": None, "hostconfig": host}
    assert shapes.check(body, shapes.CONTAINER) == {
        "Image": "x",
        "Cmd": ["true"],
        "Unknown": 1,
        "User": None,
        "HostConfig": {
            "CpuRealtimeRuntime": 5,
            "Mounts": [{}],
            "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        },
    }


def test_broken_json_is_named() -> None:
    with pytest.raises(errors.InvalidArgument, match=r"^invalid JSON: "):
        shapes.parse(b"{", shapes.VOLUME)
    with pytest.raises(errors.InvalidArgument, match=r"^unexpected content after JSON: "):
        shapes.parse(b"{} more", shapes.VOLUME)
    with pytest.raises(errors.InvalidArgument, match=r"^invalid JSON in ulimits: "):
        shapes.parse("[" * 100_000, [shapes.TEXT], "ulimits")
