#!/usr/bin/env bash
# The project's chores, one word each. `./do help` lists them.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

usage() {
  cat <<'TXT'
usage: ./do CHORE [ARGUMENT ...]

  setup        install what is needed: Debian packages, a virtual environment, the programs in .venv/bin;
               SAMPAN_PYTHON=python3.13 (a name or a path) chooses another interpreter than Debian's, until `clean`
  demo         set up, then run a web server in a container and show it
  test         set up, then run every test (arguments go to pytest)
  test --vm    in a VM with cgroup v2, AppArmor and Debian's kernel, what those could change (15 minutes);
               --vm --systemd: with systemd as PID 1; arguments go to pytest here, too
  check        ruff, mypy strict, import contracts
  bench        time Sampan beside docker.io, podman and runc where they are installed
  conformance  run other people's suites where they are installed
  clean        stop engines that the chores started, remove .venv and .cache
TXT
}

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# $SAMPAN_PYTHON where it is set (a name or a path), else .venv's own, else Debian's, else what PATH has.
find_python() {
  local candidate chosen=${SAMPAN_PYTHON:-}
  if [ -n "$chosen" ]; then
    usable "$chosen" || die "SAMPAN_PYTHON=$chosen is no Python 3.11 or newer"
    return
  fi
  for candidate in "$(sed -n 's/^executable = //p' .venv/pyvenv.cfg 2>/dev/null)" \
    /usr/bin/python3 /usr/bin/python3.1[1-9] python3; do
    ! usable "$candidate" || return 0
  done
  die "sampan needs Python 3.11 or newer; the newest here is $(python3 --version 2>&1)"
}

# Prints the real path of an interpreter (no shim, no link of a virtual environment), or fails.
usable() {
  "$1" -I -c 'import os, sys; sys.version_info < (3, 11) and sys.exit(1)
print(os.path.realpath(sys.executable))' 2>/dev/null
}

packages=(nftables libnftables1 libseccomp2 mmdebstrap debian-archive-keyring python3-venv ca-certificates iproute2 mount)
vm_packages=(qemu-system-x86 mmdebstrap)
test_packages=(busybox-static git uidmap docker-registry curl openssl procps tmux e2fsprogs iptables docker.io containerd podman bsdutils etcd-server)

need_packages() {
  command -v apt-get >/dev/null || die "./do setup needs Debian or Ubuntu (apt-get not found)"
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} = 0 ] && return
  [ "$(id -u)" = 0 ] || die "these packages are missing and only root can install them: ${missing[*]}"
  say "installing ${missing[*]}"
  local log=.cache/apt.log
  mkdir -p .cache
  { apt-get update && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
      apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 \
    || { tail -n 20 "$log" >&2; die "apt-get could not install ${missing[*]}; the whole log is $log"; }
}

need_test_packages() {
  need_packages "${test_packages[@]}"
  command -v docker >/dev/null || need_packages docker-cli # Debian 13 has Docker's client apart
}

# Rebuilt when pyproject.toml or the interpreter changes.
need_venv() {
  local python stamp
  python=$(find_python)
  stamp="$python $(cksum pyproject.toml tools/launchers.py) $PWD"
  if [ -f .venv/stamp ] && [ "$(cat .venv/stamp)" = "$stamp" ]; then
    [ -z "$(find src -name '*.py' -newer .venv/bundles -print -quit)" ] || need_programs "$python"
    return
  fi
  say "making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/python -I - <<'PY' >.venv/requirements.txt
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["dependencies"], *project["optional-dependencies"]["dev"], sep="\n")
PY
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r .venv/requirements.txt
  need_programs "$python"
  printf '%s' "$stamp" >.venv/stamp
}

# The programs in .venv/bin and the bundles they start from; made again when a source is newer.
need_programs() {
  .venv/bin/python -m compileall -q src >/dev/null
  .venv/bin/python -I tools/launchers.py "$1"
  touch .venv/bundles
}

setup() { need_packages "${packages[@]}"; need_venv; }

case "${1:-help}" in
  setup) setup ;;
  demo) shift; setup; need_test_packages; exec examples/demo.sh "$@" ;;
  test)
    shift
    setup
    need_test_packages
    [ "${1:-}" != --vm ] || { shift; need_packages "${vm_packages[@]}"; exec tools/vm/run.sh "$@"; }
    exec .venv/bin/python -m pytest "$@"
    ;;
  check)
    need_venv
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
    PYTHONPATH=src .venv/bin/lint-imports --no-cache | grep -v -e '[╔╚║╗╝]' -e '└'
    ;;
  bench) shift; setup; exec .venv/bin/python -I bench/run.py "$@" ;;
  conformance) shift; setup; exec .venv/bin/python -I tests/conformance/run.py "$@" ;;
  clean) rm -rf .venv .cache ;;
  help | -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
