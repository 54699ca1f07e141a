"""`RUN --device=[name=]NAME[,required]`: a CDI device."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions import csv
from sampan.build.instructions.base import did_you_mean
from sampan.kit.record import Record


class Device(Record):
    name: str
    required: bool = False


def parse(text: str) -> Device:
    name, required = "", False
    for field in csv.fields(text, "devices"):
        key, equals, value = field.partition("=")
        key = key.lower()
        if key == "required":
            required = csv.boolean(key, value) if equals else True
        elif key == "name" and equals:
            if name:
                raise DockerfileError(f"device name already set to {name}")
            name = value
        elif not name:
            name = field  # vendor.com/class=device has a `=` of its own
        elif not equals:
            raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
        else:
            hint = did_you_mean(key, ("name", "required"))
            raise DockerfileError(f"unexpected key '{key}' in '{field}'{hint}")
    return Device(name=name, required=required)
