#!/usr/bin/env bash
# The first voyage: an image from Debian's archive, a web server in a container, a registry and back.
# Repeatable; needs root. SAMPAN_ROOT, SAMPAN_RUN and PORT move it.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/site"
PATH="$(readlink -f ../..)/.venv/bin:$PATH"
PORT=${PORT:-8080}
REGISTRY_PORT=${REGISTRY_PORT:-5055}

show() {
  local word line=
  for word in "$@"; do
    case $word in *[!a-zA-Z0-9_./:=@,+-]*) word="'$word'" ;; esac
    line+=" $word"
  done
  printf '\n\033[1m$%s\033[0m\n' "$line"
  "$@"
}
fetch() { curl --silent --fail --max-time 10 --retry 20 --retry-connrefused --retry-delay 1 "$@"; }

[ "$(id -u)" = 0 ] || { echo "the demo needs root (namespaces, mounts, a bridge)" >&2; exit 1; }

show sampan version
sampan rm --force web >/dev/null 2>&1 || true

show sampan image bootstrap debian:12 --include nginx-light --tag nginx:1.25 \
  --run 'sed -i "s|/var/www/html|/usr/share/nginx/html|" /etc/nginx/sites-available/default' \
  --run 'ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log' \
  --cmd 'nginx -g "daemon off;"' --expose 80 --stop-signal QUIT

show sampan run -d --name web -p "$PORT:80" -v .:/usr/share/nginx/html nginx:1.25
show fetch "http://127.0.0.1:$PORT/"
show sampan ps
show sampan logs web
show sampan exec web cat /etc/os-release
show sampan stats --no-stream web

printf '\n\033[1m# the same image through a registry: push, remove, pull, run\033[0m\n'
storage=$(mktemp -d)
sampan registry serve --root "$storage" --addr "127.0.0.1:$REGISTRY_PORT" &
registry=$!
trap 'kill $registry && wait $registry || true; rm -rf "$storage"' EXIT
fetch --output /dev/null "http://127.0.0.1:$REGISTRY_PORT/v2/"

name=127.0.0.1:$REGISTRY_PORT/nginx:1.25
show sampan tag nginx:1.25 "$name"
show sampan push "$name"
show sampan rm -f web
show sampan rmi nginx:1.25 "$name"
show sampan pull "$name"
show sampan tag "$name" nginx:1.25
show sampan run -d --name web -p "$PORT:80" -v .:/usr/share/nginx/html "$name"
show fetch "http://127.0.0.1:$PORT/"

cat <<TXT

The web server goes on at http://127.0.0.1:$PORT/ (edit examples/site/index.html and reload).
  sampan logs -f web     follow it
  sampan exec -it web sh look inside
  sampan rm -f web       stop and remove it
TXT
