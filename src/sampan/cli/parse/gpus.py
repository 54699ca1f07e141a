"""`--gpus all`, `--gpus 2`, `--gpus device=0`: the API's DeviceRequest."""

from __future__ import annotations

from sampan.cli.parse import csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(text: str) -> dict[str, Any]:
    request: dict[str, Any] = {
        "Driver": "",
        "Count": 0,
        "DeviceIDs": None,
        "Capabilities": [["gpu"]],
        "Options": {},
    }
    if text == "all" or text.lstrip("-").isdecimal():
        request["Count"] = -1 if text == "all" else int(text)
        return request
    for field in csv.fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", key
        if key == "driver":
            request["Driver"] = value
        elif key == "count":
            request["Count"] = -1 if value == "all" else int(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        else:
            raise ValueError(f"unexpected key '{key}' in '{text}'")
    if request["DeviceIDs"] is None and request["Count"] == 0:
        request["Count"] = 1
    return request
