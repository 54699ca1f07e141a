"""`--device-read-bps /dev/sda:1mb`, `--blkio-weight-device /dev/sda:200`: device and number."""

from __future__ import annotations

from sampan.cli import units


def parse(text: str) -> tuple[str, int]:
    device, colon, number = text.rpartition(":")
    if not colon or not device.startswith("/dev/"):
        raise ValueError(f"bad format: {text} (write /dev/NAME:NUMBER)")
    try:
        return device, units.parse_bytes(number)
    except ValueError:
        raise ValueError(f"invalid rate for device: {text}") from None
