"""The verbs of `sampan-oci`, one file each: `VERB` (the option table) and `run(context, args)`.

From the tables come the parser (`table`), `--help` (`help`) and the manual page (`man_page`). A
verb's module imports what it works with inside `run`: the program lives for milliseconds.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

NAMES = (
    *("checkpoint", "create", "delete", "events", "exec", "features", "kill", "list", "pause"),
    *("ps", "restore", "resume", "run", "spec", "start", "state", "update", "validate"),
)


def module(name: str) -> ModuleType:
    """The module of a verb: `VERB`, `run`."""
    found: ModuleType = __import__(f"sampan.cli.oci.{name}", fromlist=["VERB"])
    return found
