"""TLS towards an engine at `-H tcp://…`: Docker's options and variables.

DOCKER_TLS_VERIFY (any value) asks for TLS with a check of the engine's certificate, DOCKER_TLS for
TLS alone. The files are ca.pem, cert.pem and key.pem of DOCKER_CERT_PATH, or of the directory of
config.json, where no option names others.
"""

from __future__ import annotations

import os

from sampan.client.tunnel import Tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def find(said: Mapping[str, str], config_dir: str) -> Tls | None:
    """`said`: on, verify, cacert, cert, key, as the command line has them; None for no TLS."""
    verify = bool(said.get("verify", os.environ.get("DOCKER_TLS_VERIFY", "")))
    if not verify and not said.get("on", os.environ.get("DOCKER_TLS", "")):
        return None
    directory = os.environ.get("DOCKER_CERT_PATH", "") or config_dir

    def file(name: str, option: str) -> str:
        path = os.path.join(directory, name)
        return said.get(option) or (path if os.path.exists(path) else "")

    return Tls(
        ca=file("ca.pem", "cacert"),
        cert=file("cert.pem", "cert"),
        key=file("key.pem", "key"),
        verify=verify,
    )
