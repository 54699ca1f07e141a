"""`--add-host NAME:ADDRESS` or `NAME=ADDRESS`."""

from __future__ import annotations

from sampan.cli.parse import ip

GATEWAY = "host-gateway"


def parse(text: str) -> str:
    """`NAME:ADDRESS`, as the API has it."""
    equals, colon = text.find("="), text.find(":")
    at = equals if 0 <= equals < (colon if colon >= 0 else len(text)) else colon
    if at <= 0 or not text[at + 1 :]:
        raise ValueError(f'bad format for add-host: "{text}"')
    name, address = text[:at], text[at + 1 :]
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address != GATEWAY:
        try:
            ip.check(address)
        except ValueError:
            raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{address}"
