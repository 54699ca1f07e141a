"""Word for word what Docker's own CLI sends for the same options, and the same exit codes.

Both programs speak to one recording server; the reference comes first, so a case that Docker
itself would refuse is noticed as a wrong case.
"""

import json
import os
import shlex
import shutil
import subprocess
import urllib.parse

import pytest

from tests.cli.conftest import PROGRAM
from tests.cli.fake_engine import FakeEngine

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="no docker CLI here")

CREATE = """
create busybox
create busybox echo a 'b c'
create --name web -h host --domainname example.org busybox
create -i busybox
create -it busybox sh
create -a stdout busybox
create -a STDIN -a stderr -i busybox
create -e A=1 --env B=2 -e EMPTY= -e FROM_HERE -e NOT_SET busybox
create --env-file FILES/env -e LAST=1 busybox
create -l a=1 --label b --label-file FILES/labels busybox
create -w /srv -u 1000:1000 busybox
create --entrypoint /bin/sh busybox -c true
create --entrypoint= busybox
create -p 80 busybox
create -p 8080:80 busybox
create -p8080:80/udp busybox
create -p 127.0.0.1:8080:80 busybox
create -p 127.0.0.1::80 busybox
create -p [::1]:8080:80 busybox
create -p 8000-8002:80-82 busybox
create -p 8000-8010:80 busybox
create -p 80-82 busybox
create -p 8080:80 -p 8443:443/tcp -p 127.0.0.1:8081:80 busybox
create -p published=8080,target=80,protocol=udp busybox
create -P --expose 90 --expose 91-93/udp busybox
create -v /anonymous busybox
create -v /host:/c busybox
create -v /host:/c:ro,z busybox
create -v data:/c busybox
create -v ./here:/c -v ..:/d busybox
create --volumes-from other:ro --volume-driver local busybox
create --mount type=bind,src=/a,dst=/b,readonly busybox
create --mount type=bind,source=/a,target=/b,bind-propagation=rslave,ro=false busybox
create --mount type=bind,source=/a,target=/b,bind-recursive=disabled busybox
create --mount type=volume,src=v,dst=/b,volume-nocopy,volume-label=x=y busybox
create --mount type=volume,dst=/b,volume-driver=local,volume-opt=type=nfs,volume-subpath=s busybox
create --mount src=v,dst=/b busybox
create --mount type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1770 busybox
create --mount type=image,src=alpine,dst=/b,image-subpath=etc busybox
create --mount 'type=volume,dst=/b,"volume-opt=o=a,b"' busybox
create --tmpfs /run --tmpfs /tmp:size=1m,mode=700 busybox
create -m 512m --memory-swap 1g --memory-reservation 100k --memory-swappiness 10 busybox
create -m 1.5g --memory-swap -1 busybox
create --cpus 1.5 -c 512 --cpuset-cpus 0-1 --cpuset-mems 0 busybox
create --cpus .25 busybox
create --cpu-period 100000 --cpu-quota 50000 --cpu-rt-period 1 --cpu-rt-runtime 2 busybox
create --pids-limit 100 --oom-score-adj -500 --oom-kill-disable busybox
create --blkio-weight 300 --blkio-weight-device /dev/sda:200 busybox
create --device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:2m busybox
create --device-read-iops /dev/sda:100 --device-write-iops /dev/sda:200 busybox
create --cap-add NET_ADMIN --cap-add cap_sys_time --cap-drop ALL busybox
create --security-opt no-new-privileges --security-opt seccomp=unconfined busybox
create --security-opt systempaths=unconfined --security-opt label:disable busybox
create --security-opt seccomp=FILES/seccomp.json busybox
create --read-only --privileged --init busybox
create --init=false busybox
create --device /dev/null --device /dev/zero:/dev/z --device /dev/full:/dev/f:r busybox
create --device /dev/null:rw --device-cgroup-rule 'c 1:3 rwm' busybox
create --ulimit nofile=1024:2048 --ulimit core=0 --ulimit nproc=-1 busybox
create --restart always busybox
create --restart on-failure:3 busybox
create --restart unless-stopped busybox
create --rm busybox
create --add-host a:1.2.3.4 --add-host b=::1 --add-host h:host-gateway busybox
create --dns 1.1.1.1 --dns-search example.org --dns-option ndots:1 busybox
create --network host busybox
create --network none busybox
create --network container:other busybox
create --network mine --network-alias a --network-alias b --ip 10.0.0.2 --ip6 fd00::2 busybox
create --network name=mine,alias=a,ip=10.0.0.2,driver-opt=k=v,gw-priority=5 --network two busybox
create --net mine --mac-address 92:d0:c6:0a:29:33 --link-local-ip 169.254.1.1 busybox
create --network mine --link other:o busybox
create --stop-signal SIGQUIT --stop-timeout 5 busybox
create --pid host --ipc host --uts host --userns host --cgroupns private busybox
create --pid container:x --ipc container:y busybox
create --shm-size 128m --sysctl net.core.somaxconn=1024 --group-add 5 --group-add video busybox
create --log-driver json-file --log-opt max-size=1m --log-opt max-file=3 busybox
create --health-cmd 'curl localhost' --health-interval 5s --health-timeout 1m30s busybox
create --health-cmd x --health-retries 3 --health-start-period 1s --health-start-interval 2s busybox
create --no-healthcheck busybox
create --cgroup-parent /p --runtime runc --annotation a=b --storage-opt size=1g busybox
create --platform linux/amd64 busybox
create --gpus all busybox
create --gpus '"device=0,1"' busybox
create --gpus count=2,driver=nvidia busybox
create --network bridge busybox
create --network host --mac-address 92:d0:c6:0a:29:33 busybox
create --gpus 2 busybox
create --isolation default busybox
create -it --rm=false --name=x busybox -- --help
"""

OTHER = """
exec -e A=b -w /tmp -u 0 --privileged x ls -l
exec -d x sleep 1
volume create
volume create -d local -o type=tmpfs --opt device=x --label a=b v
network create n
network create --subnet 10.1.0.0/16 --gateway 10.1.0.1 --ip-range 10.1.2.0/24 -o a=b n
network create --subnet 10.1.0.0/16 --subnet fd00::/64 --ipv6 --aux-address h=10.1.0.5 n
network create --internal --attachable --label x=y --ipv4=false -d macvlan n
network connect n x
network connect --alias a --alias b --ip 10.0.0.2 --link other:o --driver-opt k=v n x
network disconnect -f n x
rm -fv x
stop -t 3 -s INT x
restart x
kill x
kill -s HUP x
rename x y
tag a:1 localhost:5000/b/c
rmi -f a
pause x
unpause x
start x
wait x
commit -a me -m msg -c 'CMD x' x repo:tag
ps -a --no-trunc --filter status=running --filter label=a=b -n 3
images -a --filter dangling=true repo
volume ls --filter name=x
network ls --filter driver=bridge
container prune -f --filter until=1h
image prune -af
image prune -f
volume prune -f
volume prune -af
network prune -f
events --since 1700000000 --until 1700000001 --filter type=image
"""

REFUSED = """
run
run --nosuch busybox
run -m x busybox
run --cpus x busybox
run --rm --restart always busybox
run -p 99999:80 busybox
run -p a:b:c:d busybox
run --mount type=bind busybox
run --mount foo busybox
run --ulimit x busybox
run --device a:b:c:d busybox
run -e '' busybox
run --env-file /nonexistent busybox
run --add-host foo busybox
run --security-opt foo busybox
run --pid foo busybox
run --pull foo busybox
run --stop-timeout x busybox
run --dns x busybox
run --health-cmd x --no-healthcheck busybox
run --memory-swappiness 200 busybox
run -it=maybe busybox
run --name
run -d -a stdout busybox
run -it busybox
ps extra
ps -Z
exec x
rm
logs
stop -t x c
nosuch
volume nosuch
volume create a b
rename a
"""


# Questions that Docker's CLI asks first and that need not be asked.
IGNORED = ("/_ping", "/version", "/containers/x/json")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bodies")
    fake = FakeEngine(str(directory / "engine.sock"))
    fake.answers |= {
        "POST /containers/x/exec": (201, {"Id": "e"}),
        "POST /networks/create": (201, {"Id": "n"}),
        "POST /volumes/create": (201, {"Name": "v"}),
        "POST /commit": (201, {"Id": "sha256:1"}),
        "POST /containers/x/wait": (200, {"StatusCode": 0}),
        "GET /containers/json": (200, []),
        "GET /images/json": (200, []),
        "GET /networks": (200, []),
        "GET /volumes": (200, {"Volumes": []}),
        "DELETE /images/a": (200, []),
        "GET /events": (200, b""),
    }
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    (directory / "env").write_text("# comment\n\nX=1\nFROM_HERE\nNOT_SET\n  Y=a b \n")
    (directory / "labels").write_text("one=1\n# no\ntwo=a b\n")
    (directory / "seccomp.json").write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')
    return directory


def words_of(line, files):
    return [word.replace("FILES", str(files)) for word in shlex.split(line)]


def run(program, words, fake, files):
    """(exit code, the requests that it made: method, path, query, body)."""
    fake.requests.clear()
    config = files / "config"
    environment = {"PATH": os.environ["PATH"], "HOME": str(files), "FROM_HERE": "yes"}
    result = subprocess.run(
        [*program, *words],
        env={**environment, "DOCKER_CONFIG": str(config), "SAMPAN_ROOT": "/nonexistent"},
        cwd=files,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in result.stderr
    return result, [shape(r) for r in fake.requests if r.path not in IGNORED]


def shape(request):
    """A request with all spellings of the same thing made one."""
    query = {}
    for name, value in urllib.parse.parse_qsl(request.query):
        decoded = json.loads(value) if value.startswith("{") else value
        query.setdefault(name, []).append(decoded)
    body = json.loads(request.body) if request.body.strip() else None
    if request.path == "/containers/create":  # Docker's order is that of a Go map: any
        body["Env"] = sorted(body["Env"] or ())
        body["HostConfig"]["Ulimits"].sort(key=lambda limit: limit["Name"])
        if body["HostConfig"].get("Binds"):
            body["HostConfig"]["Binds"].sort()
    if request.path == "/networks/create":
        body["IPAM"]["Config"].sort(key=lambda pool: pool["Subnet"])
    return {"to": f"{request.method} {request.path}", "query": query, "body": body}


def differences(ours, theirs, where=""):
    """Where two JSON values differ, as lines."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(set(ours) | set(theirs))
        missing = "(not there)"
        return [
            line
            for key in keys
            for line in differences(
                ours.get(key, missing), theirs.get(key, missing), f"{where}.{key}"
            )
        ]
    return [] if ours == theirs else [f"{where}: ours {ours!r}, Docker's {theirs!r}"]


def compare(line, fake, files):
    words = words_of(line, files)
    reference, theirs = run(["docker", "-H", fake.host], words, fake, files)
    assert "flag" not in reference.stderr, f"Docker itself refuses this case: {reference.stderr}"
    result, ours = run([*PROGRAM, "-H", fake.host], words, fake, files)
    assert [r["to"] for r in ours] == [r["to"] for r in theirs], result.stderr
    found = [d for mine, other in zip(ours, theirs, strict=True) for d in differences(mine, other)]
    assert not found
    assert result.returncode == reference.returncode


@pytest.mark.parametrize("line", CREATE.strip().splitlines())
def test_the_body_of_a_create_is_dockers(line, recorder, files):
    compare(line, recorder, files)


def test_the_proxies_of_config_json_become_environment(recorder, files):
    path = files / "config" / "config.json"
    path.parent.mkdir(exist_ok=True)
    proxies = {"default": {"httpProxy": "http://p:1", "noProxy": "localhost"}}
    path.write_text(json.dumps({"proxies": proxies}))
    try:
        compare("create -e http_proxy=mine busybox", recorder, files)
    finally:
        path.unlink()


@pytest.mark.parametrize("line", OTHER.strip().splitlines())
def test_the_requests_of_a_command_are_dockers(line, recorder, files):
    compare(line, recorder, files)


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_what_docker_refuses_is_refused_with_its_code(line, recorder, files):
    words = words_of(line, files)
    reference, _ = run(["docker", "-H", recorder.host], words, recorder, files)
    result, ours = run([*PROGRAM, "-H", recorder.host], words, recorder, files)
    assert reference.returncode
    assert result.returncode == reference.returncode, result.stderr
    assert not ours, "it asked the engine before it looked at its words"
