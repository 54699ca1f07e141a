"""Images that other people's suites name, made of Debian's packages: nothing is pulled.

One root file system (`debian`) becomes several images, each by the lines of a Dockerfile. What
Debian does not have is a program of `stand_ins`. `publish` brings images to the hub of the island.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conformance.island import HUB
from tests.voyage.programs import Engine

PACKAGES = ("python3", "docker-registry", "busybox-static", "ca-certificates")
SERVICES = ("bash", "nginx-light", "redis-server", "memcached", "socat", "postgresql")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STAND_INS = Path(__file__).parent / "stand_ins"
REGISTRY = """\
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":5000"}
"""
NGINX = """\
error_log /dev/stderr notice;
events {}
http {
  include /etc/nginx/mime.types;
  access_log /dev/stdout;
  include /etc/nginx/conf.d/*.conf;
}
"""
SITE = "server { listen 80; root /usr/share/nginx/html; }\n"
FILES = {
    "etc/docker/registry/config.yml": REGISTRY,
    "etc/nginx/nginx.conf": NGINX,
    "etc/nginx/conf.d/default.conf": SITE,
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "postgres:x:70:70::/var/lib/postgresql:/bin/sh\n"
    "www-data:x:33:33::/var/www:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "etc/group": "root:x:0:\npostgres:x:70:\nwww-data:x:33:\nnogroup:x:65534:\n",
}
FINISH = r"""
set -e
cd "$1"
mkdir -p tmp root dev proc sys run usr/local/bin
chmod 1777 tmp
ln -sf python3 usr/bin/python
rm -rf usr/share/doc usr/share/man usr/share/locale usr/lib/*/libLLVM* var/cache/apt var/lib/apt
for applet in $(bin/busybox --list); do
  [ -e "bin/$applet" ] || [ -e "usr/bin/$applet" ] || ln -sf busybox "bin/$applet"
done
"""
# name → the lines of its Dockerfile
RECIPES = {
    "python": 'CMD ["python3"]',
    "registry": 'EXPOSE 5000/tcp\nENTRYPOINT ["docker-registry"]\n'
    'CMD ["serve", "/etc/docker/registry/config.yml"]',
    "hello-world": 'CMD ["echo", "Hello from Docker!"]',
    "shell": 'CMD ["sh"]',
    "bash": 'CMD ["bash"]',
    "nginx": 'EXPOSE 80\nSTOPSIGNAL SIGQUIT\nCMD ["nginx", "-g", "daemon off;"]',
    "redis": 'EXPOSE 6379\nWORKDIR /data\nCMD ["redis-server", "--protected-mode", "no"]',
    "memcached": 'EXPOSE 11211\nUSER nobody\nCMD ["memcached"]',
    "socat": 'ENTRYPOINT ["socat"]',
    "postgres": f"ENV PATH=/usr/lib/postgresql/15/bin:{PATH}\nEXPOSE 5432\nSTOPSIGNAL SIGINT\n"
    'VOLUME /var/lib/postgresql/data\nENTRYPOINT ["stand-in-postgres"]\nCMD ["postgres"]',
    "helloworld": 'EXPOSE 8080\nCMD ["stand-in-helloworld"]',
    "ryuk": 'EXPOSE 8080\nCMD ["stand-in-ryuk"]',
}


def debian(work: Path, *more: str) -> Path:
    """The root file system as a tar, made once; `more` are further packages."""
    archive = work / "debian.tar"
    if not archive.is_file():
        tree, made = work / "tree", work / "making.tar"
        packages = f"--include={','.join((*PACKAGES, *more))}"
        shutil.rmtree(tree, ignore_errors=True)
        build = ["mmdebstrap", "-q", "--variant=extract", packages, "bookworm", str(tree)]
        subprocess.run(build, check=True)
        subprocess.run(["sh", "-c", FINISH, "finish", str(tree)], check=True)
        for name, text in FILES.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        for program in STAND_INS.iterdir():
            shutil.copy(program, tree / "usr/local/bin" / f"stand-in-{program.name}")
        subprocess.run(["tar", "-C", str(tree), "-cf", str(made), "."], check=True)
        made.rename(archive)
        shutil.rmtree(tree)
    return archive


def load(engine: Engine, archive: Path, names: dict[str, str]) -> None:
    """`names`: image → its recipe."""
    cli = engine.cli("sampan")
    cli("import", "--change", f"ENV PATH={PATH}", str(archive), "debian:made", timeout=300)
    done: dict[str, str] = {}
    for name, recipe in names.items():
        if recipe not in done:
            text = f"FROM debian:made\n{RECIPES[recipe]}\n"
            cli("build", "-t", name, "-", stdin=text.encode(), timeout=120)
            done[recipe] = name
        elif name != done[recipe]:
            cli("tag", done[recipe], name)


def publish(engine: Engine, *names: str) -> None:
    """Images that are here go to the hub."""
    cli = engine.cli("sampan")
    for name in names:
        remote = f"{HUB}/{name if '/' in name else f'library/{name}'}"
        cli("tag", name, remote)
        cli("push", remote, timeout=120)
        cli("rmi", remote)
