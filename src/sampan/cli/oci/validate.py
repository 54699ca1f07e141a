"""`validate`: every problem of a bundle's config.json, one a line."""

from __future__ import annotations

import os

from sampan.cli.oci.table import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="validate",
    summary="list every problem of a bundle's config.json",
    operands="[bundle]",
    at_least=0,
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import errors, json
    from sampan.runtime import validate

    bundle = os.path.abspath(operands[0] if operands else ".")
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        try:
            document = json.loads(file.read())
        except ValueError as error:
            raise errors.InvalidArgument(f"{path} is no JSON: {error}") from None
    found = validate.problems(document, bundle)
    print("".join(f"{text}\n" for text in found), end="")
    return 1 if found else 0
