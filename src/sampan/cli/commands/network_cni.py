"""`sampan network cni`."""

from __future__ import annotations

import json

from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

_VERBS = ("status", "check", "gc", "results")

COMMAND = Command(
    name="network cni",
    summary="Ask the CNI plugins of a network",
    operands="VERB NETWORK [NETWORK ...]",
    at_least=2,
    description="status: can they serve containers now; check: are the interfaces of running"
    " containers still as they made them; gc: undo what no container has; results: what they"
    " answered, as JSON. Ends with 1 if something is wrong.",
    examples=(("sampan network cni check pods", "after somebody worked on the host's network"),),
)


def run(session: Session, args: Arguments) -> int:
    verb, *networks = args.operands
    if verb not in _VERBS:
        raise errors.InvalidArgument(f"there is no verb {verb!r}; there are {', '.join(_VERBS)}")
    wrong = False
    for name in networks:
        path = f"/sampan/networks/{name}/cni"
        if verb == "results":
            print(json.dumps(session.client.call("GET", path), indent=4))
            continue
        for finding in session.client.call("POST", f"{path}/{verb}"):
            print(f"{finding['level']:<5}  {finding['about']}: {finding['text']}")
            wrong |= finding["level"] == "wrong"
    return int(wrong)
