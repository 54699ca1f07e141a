"""Every operation of Docker's Engine API 1.51 has a route, but a swarm's (they answer 503)."""

import pytest

from sampan.dockerapi import routes

OPERATIONS = """
/_ping GET HEAD · /version GET · /info GET · /events GET · /system/df GET · /auth POST
/containers/json GET · /containers/create POST · /containers/prune POST · /containers/x DELETE
/containers/x/json GET · /containers/x/top GET · /containers/x/logs GET · /containers/x/changes GET
/containers/x/export GET · /containers/x/stats GET · /containers/x/resize POST
/containers/x/start POST · /containers/x/stop POST · /containers/x/restart POST
/containers/x/kill POST · /containers/x/update POST · /containers/x/rename POST
/containers/x/pause POST · /containers/x/unpause POST · /containers/x/attach POST
/containers/x/attach/ws GET · /containers/x/wait POST · /containers/x/archive HEAD GET PUT
/containers/x/checkpoints GET POST · /containers/x/checkpoints/y DELETE
/containers/x/exec POST · /exec/x/start POST · /exec/x/resize POST · /exec/x/json GET
/images/json GET · /images/create POST · /images/search GET · /images/prune POST
/images/r.example:5000/a/b:1/json GET · /images/a/b/history GET · /images/a/b/push POST
/images/a/b/tag POST · /images/a/b DELETE · /images/a/b/get GET · /images/get GET
/images/load POST · /commit POST · /distribution/a/b/json GET
/build POST · /build/prune POST · /session POST · /grpc POST
/networks GET · /networks/create POST · /networks/prune POST · /networks/x GET DELETE
/networks/x/connect POST · /networks/x/disconnect POST
/volumes GET · /volumes/create POST · /volumes/prune POST · /volumes/x GET DELETE PUT
/plugins GET · /plugins/privileges GET · /plugins/pull POST · /plugins/create POST
/plugins/a/b:1/json GET · /plugins/a/b DELETE · /plugins/a/b/enable POST · /plugins/a/b/disable POST
/plugins/a/b/upgrade POST · /plugins/a/b/push POST · /plugins/a/b/set POST
"""
ROWS = [
    (method, path)
    for entry in OPERATIONS.replace("\n", " · ").split(" · ")
    if entry
    for path, *methods in [entry.split()]
    for method in methods
]
SWARM = ("swarm", "nodes", "services", "tasks", "secrets", "configs")
ALL = routes.all_routes()


@pytest.mark.parametrize(("method", "path"), ROWS)
def test_an_operation(method: str, path: str) -> None:
    assert ALL.find(method, path) is not None


@pytest.mark.parametrize("group", SWARM)
def test_a_swarm_s_operations_are_answered_by_one(group: str) -> None:
    found = ALL.find("GET", f"/{group}")
    assert found is not None
    assert found[0].__name__ == "swarm"
