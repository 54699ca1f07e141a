"""Docker's words for a container, and what the runtime is told. No container is started."""

import json
from typing import Any

import pytest

from sampan.engine import oci, oci_resources
from sampan.engine.containers import create
from sampan.engine.users import Identity
from sampan.kit import errors


class FakeContainer:
    """The attributes that `oci.build` reads of a container."""

    id = "a" * 64
    cgroup = "/sampan/aaa"
    variables: tuple[str, ...] = ()

    def __init__(self, config: dict[str, Any], host: dict[str, Any]) -> None:
        self.config = {"Cmd": ["sh"], **config}
        self.host_config = host
        self.mounts: list[dict[str, Any]] = []
        self.variables: tuple[str, ...] = ()

    @property
    def tty(self) -> bool:
        return bool(self.config.get("Tty"))


def build(config: dict[str, Any] | None = None, **host: Any) -> dict[str, Any]:
    around = oci.Surroundings(identity=Identity(home="/root"), root_path="/r", peers={"peer": 77})
    container: Any = FakeContainer(config or {}, host)
    document = oci.build(container, around)
    json.dumps(document)
    return document


def mount_at(document: dict[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = next(m for m in document["mounts"] if m["destination"] == where)
    return found


def test_a_plain_container_has_namespaces_of_its_own() -> None:
    kinds = {n["type"] for n in build()["linux"]["namespaces"]}
    assert kinds == {"mount", "pid", "ipc", "uts", "cgroup", "network"}


def test_modes_share_namespaces() -> None:
    document = build(NetworkMode="host", PidMode="container:peer", IpcMode="host", UTSMode="host")
    found = {n["type"]: n.get("path") for n in document["linux"]["namespaces"]}
    assert found == {"mount": None, "pid": "/proc/77/ns/pid", "cgroup": None}
    assert "hostname" not in document
    assert document["linux"]["sysctl"] == {}


def test_environment_is_dockers() -> None:
    env = build({"Env": ["PATH=/x", "A=1"], "Hostname": "web", "Tty": True})["process"]["env"]
    assert env == ["PATH=/x", "HOSTNAME=web", "TERM=xterm", "A=1", "HOME=/root"]


def test_capabilities_are_added_and_dropped() -> None:
    def bounding(**host: Any) -> list[str]:
        found: list[str] = build(**host)["process"]["capabilities"]["bounding"]
        return found

    default = bounding()
    assert "CAP_CHOWN" in default and "CAP_SYS_ADMIN" not in default
    assert bounding(CapDrop=["ALL"]) == []
    assert bounding(CapDrop=["all"], CapAdd=["net_admin"]) == ["CAP_NET_ADMIN"]
    assert "CAP_CHOWN" not in bounding(CapAdd=["ALL"], CapDrop=["CHOWN"])
    assert set(default) < set(bounding(Privileged=True))
    with pytest.raises(errors.InvalidArgument, match="unknown capability"):
        bounding(CapAdd=["FLY"])


def test_privileged_masks_nothing_and_allows_all_devices() -> None:
    linux = build(Privileged=True)["linux"]
    assert "maskedPaths" not in linux and "seccomp" not in linux
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert build()["linux"]["maskedPaths"]


def test_seccomp_can_be_switched_off_and_replaced() -> None:
    assert "seccomp" not in build(SecurityOpt=["seccomp=unconfined"])["linux"]
    with pytest.raises(errors.InvalidArgument, match="seccomp profile"):
        build(SecurityOpt=["seccomp=/a/file"])
    assert build(SecurityOpt=["no-new-privileges"])["process"]["noNewPrivileges"]


def test_limits() -> None:
    found = oci_resources.resources(
        {"Memory": 64 << 20, "NanoCpus": 1_500_000_000, "PidsLimit": 10, "CpuShares": 512}
    )
    assert found["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert found["cpu"] == {"period": 100_000, "quota": 150_000, "shares": 512}
    assert found["pids"] == {"limit": 10}
    assert list(oci_resources.resources({"PidsLimit": -1})) == ["devices"]
    weights = {"BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/null", "Weight": 20}]}
    assert oci_resources.resources(weights)["blockIO"] == {
        "weight": 300, "weightDevice": [{"major": 1, "minor": 3, "weight": 20}],
    }  # fmt: skip


def test_devices_appear_and_are_allowed() -> None:
    item = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nix", "CgroupPermissions": "r"}
    linux = build(Devices=[item])["linux"]
    assert [(d["path"], d["major"], d["minor"]) for d in linux["devices"]] == [("/dev/nix", 1, 3)]
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}
    assert rule in linux["resources"]["devices"]
    with pytest.raises(errors.InvalidArgument, match="not a device node"):
        build(Devices=[{"PathOnHost": "/etc/passwd"}])


def test_shm_tmpfs_and_order_of_mounts() -> None:
    document = build(ShmSize=1 << 20, Tmpfs={"/run": "size=1m,exec", "/run/x": ""})
    assert f"size={1 << 20}" in mount_at(document, "/dev/shm")["options"]
    assert mount_at(document, "/run")["options"] == ["nosuid", "nodev", "size=1m", "exec"]
    places = [m["destination"] for m in document["mounts"]]
    assert places.index("/run") < places.index("/run/x")
    assert places.index("/dev") < places.index("/dev/pts")


def test_a_command_is_put_together_as_docker_does() -> None:
    image = {
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "Env": ["A=1", "B=2"],
        "Labels": {"x": "1"},
    }

    def command(**config: Any) -> list[str]:
        return oci.command(create.merge_image(config, image))

    assert command() == ["/entry", "serve"]
    assert command(Cmd=["other"]) == ["/entry", "other"]
    assert command(Entrypoint=["/mine"]) == ["/mine"]
    assert command(Entrypoint=[""], Cmd=["sh"]) == ["sh"]
    merged = create.merge_image({"Env": ["B=3", "A"], "Labels": {"y": "2"}}, image)
    assert merged["Env"] == ["A", "B=3"]
    assert merged["Labels"] == {"x": "1", "y": "2"}
