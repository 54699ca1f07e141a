"""Every command and flag of docker's CLI is here, or is named below with the reason why not."""

from pathlib import Path

import pytest

from sampan.cli import commands, values

TABLE = Path(__file__).with_name("docker_cli.txt")
CLUSTER = "volumes of a swarm's cluster alone have it"
NOT_HERE = {
    "volume update": CLUSTER,
    **{
        f"volume create --{name}": CLUSTER
        for name in (
            "availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing",
            "topology-preferred", "topology-required", "type",
        )
    },
    "volume ls --cluster": CLUSTER,
}  # fmt: skip


def rows():
    """(names, [(short, long, takes a value)]) of each command."""
    found = []
    for line in TABLE.read_text().splitlines():
        if line.startswith("    "):
            for word in line.split():
                short, _, long = word.rpartition(",")
                name = long.removeprefix("--")
                found[-1][1].append((short.lstrip("-"), name.rstrip("="), name.endswith("=")))
        elif line and not line.startswith("#"):
            found.append((line.split(" = "), []))
    return found


ROWS = rows()


@pytest.mark.parametrize(("names", "flags"), ROWS, ids=[row[0][0] for row in ROWS])
def test_a_command_of_dockers(names, flags):
    for name in names:
        if name not in NOT_HERE:
            assert commands.NAMES[name] == commands.NAMES[names[0]], name
    if names[0] in NOT_HERE:
        return
    options = {}
    for option in commands.get(names[0]).COMMAND.options:
        options |= dict.fromkeys((option.name, *option.aliases), option)
    for short, long, takes_value in flags:
        if f"{names[0]} --{long}" in NOT_HERE:
            assert long not in options
            continue
        assert long in options, f"{names[0]} --{long} is missing"
        assert not short or options[long].short == short, long
        assert (values.KINDS[options[long].kind].flag_value is None) == takes_value, long


def test_reasons_are_about_something():
    known = {name for names, _ in ROWS for name in names}
    known |= {f"{names[0]} --{long}" for names, flags in ROWS for _, long, _ in flags}
    assert set(NOT_HERE) <= known
