#!/usr/bin/env python3
"""Keep an etcd up to date with the services that run here, from the engine's events alone.

    etcd_services.py unix:///run/sampan/sampan.sock http://127.0.0.1:2379

A container with the label `service=NAME` is a key while it runs (and is not unhealthy):

    /services/NAME/CONTAINER → {"addresses": {NETWORK: ADDRESS}, "ports": ["80/tcp"]}

The keys hang on one lease of ten seconds, which this program keeps alive: when it is killed, or its
host is cut off, they go by themselves. It works with any engine that speaks Docker's API, and etcd
3.4 or newer (its JSON gateway). Needs the package sampan (in a checkout: PYTHONPATH=src).
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import urllib.request
from typing import Any

from sampan.client import api
from sampan.kit import errors

TTL = 10  # seconds
GONE = ("die", "destroy", "pause")
HERE = ("start", "unpause")


class Etcd:
    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self.lease = self._post("/v3/lease/grant", {"TTL": TTL})["ID"]

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def put(self, key: str, value: object) -> None:
        data = {"key": _base64(key), "value": _base64(json.dumps(value)), "lease": self.lease}
        self._post("/v3/kv/put", data)

    def delete(self, key: str) -> None:
        self._post("/v3/kv/deleterange", {"key": _base64(key)})

    def stay(self, stopped: threading.Event) -> None:
        while not stopped.wait(TTL / 3):
            self._post("/v3/lease/keepalive", {"ID": self.lease})


class Registrar:
    """The keys that are written, by container: another event may only take away its own."""

    def __init__(self, client: api.Client, etcd: Etcd) -> None:
        self._client, self._etcd = client, etcd
        self._keys: dict[str, str] = {}

    def heard(self, event: dict[str, Any]) -> None:
        action, actor = event["Action"], event["Actor"]
        attributes = actor["Attributes"]
        if event["Type"] == "network" and action in ("connect", "disconnect"):
            container = attributes.get("container", "")
            if container in self._keys:
                self.look(container)
        elif event["Type"] == "container" and attributes.get("service"):
            if action in GONE or action == "health_status: unhealthy":
                self.forget(actor["ID"])
            elif action in HERE or action == "health_status: healthy":
                self.look(actor["ID"])

    def look(self, container: str) -> None:
        try:
            found = self._client.call("GET", f"/containers/{container}/json")
        except errors.NotFound:
            self.forget(container)
            return
        service = (found["Config"].get("Labels") or {}).get("service")
        if not service or not found["State"]["Running"]:
            self.forget(container)
            return
        networks = found["NetworkSettings"]["Networks"]
        self._keys[container] = f"/services/{service}/{container[:12]}"
        self._etcd.put(
            self._keys[container],
            {
                "addresses": {name: one["IPAddress"] for name, one in networks.items()},
                "ports": sorted(found["Config"].get("ExposedPorts") or {}),
            },
        )

    def forget(self, container: str) -> None:
        if key := self._keys.pop(container, None):
            self._etcd.delete(key)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def main(engine: str, url: str) -> None:
    """Listens first and looks around then, so that nothing falls between."""
    etcd, stopped = Etcd(url), threading.Event()
    keeper = threading.Thread(target=etcd.stay, args=(stopped,), daemon=True)
    keeper.start()
    with api.Client(engine) as events, api.Client(engine) as asking:
        stream = events.stream("GET", "/events", {"filters": '{"type":["container","network"]}'})
        registrar = Registrar(asking, etcd)
        for one in asking.call("GET", "/containers/json", {"filters": '{"label":["service"]}'}):
            registrar.look(one["Id"])
        for event in events.messages(stream):
            registrar.heard(event)
    stopped.set()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: etcd_services.py unix:///run/sampan/sampan.sock http://127.0.0.1:2379")
    main(sys.argv[1], sys.argv[2])
