"""Health checks, as `ps`, `inspect` and events show them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.engine.health import check_of

from .conftest import IMAGE
from .programs import Cli, until

OFTEN = ("--health-interval", "200ms", "--health-retries", "2")


def health(cli: Cli, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli.text("inspect", name))[0]["State"]["Health"]
    return found


def test_a_container_becomes_healthy_and_unhealthy(cli: Cli) -> None:
    test = "echo looked; test ! -e /tmp/ill"
    cli.run("-d", "--name", "patient", "--health-cmd", test, *OFTEN, IMAGE, "sleep", "1000")
    until(lambda: health(cli, "patient")["Status"] == "healthy")
    assert "(healthy)" in cli.text("ps", "--filter", "health=healthy")
    cli("exec", "patient", "touch", "/tmp/ill")
    until(lambda: health(cli, "patient")["Status"] == "unhealthy")
    found = health(cli, "patient")
    assert found["FailingStreak"] >= 2 and 2 <= len(found["Log"]) <= 5
    assert (found["Log"][-1]["ExitCode"], found["Log"][-1]["Output"]) == (1, "looked\n")
    assert "(unhealthy)" in cli.text("ps")
    cli("exec", "patient", "rm", "/tmp/ill")
    until(lambda: health(cli, "patient")["Status"] == "healthy")


def test_a_check_that_hangs_fails_and_ends(cli: Cli) -> None:
    slow = ("--health-timeout", "300ms")
    cli.run(
        "-d",
        "--name",
        "slow",
        "--health-cmd",
        "exec sleep 777",
        *OFTEN,
        *slow,
        IMAGE,
        "sleep",
        "1000",
    )
    until(lambda: health(cli, "slow")["Status"] == "unhealthy")
    assert "exceeded timeout" in health(cli, "slow")["Log"][0]["Output"]
    cli("stop", "-t", "0", "slow")


@pytest.mark.parametrize("test", [None, [], ["NONE"]])
def test_no_check_is_no_health(test: list[str] | None) -> None:
    assert check_of({"Healthcheck": {"Test": test}}) is None
