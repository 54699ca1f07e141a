"""`sampan manifest rm`: forget lists that were begun here."""

from __future__ import annotations

import sys

from sampan.cli import manifest_lists
from sampan.cli.options import Command
from sampan.kit import errors
from sampan.spec import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="manifest rm",
    summary="Forget manifest lists that were begun here; registries keep what they have",
    operands="MANIFEST_LIST [MANIFEST_LIST...]",
    at_least=1,
)


def run(session: Session, args: Arguments) -> int:
    store = manifest_lists.Store(session.config_dir)
    code = 0
    for name in args.operands:
        try:
            store.remove(reference.parse(name))
        except errors.SampanError as error:
            print(error, file=sys.stderr)
            code = 1
    return code
