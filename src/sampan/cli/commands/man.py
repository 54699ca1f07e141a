"""`sampan man`: manual pages from the option tables."""

from __future__ import annotations

import os

from sampan.cli import man_pages
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="man",
    summary="Write the manual pages",
    at_most=0,
    options=(
        option("-o --output", "string", "Directory to write to", default=".", completes="dir"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    directory = args["output"]
    os.makedirs(directory, exist_ok=True)
    pages = man_pages.pages()
    for name, text in pages.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    print(f"{len(pages)} pages written to {directory}")
