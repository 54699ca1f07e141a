"""`sampan image convert`: the same image in another form."""

from __future__ import annotations

from sampan.cli.common_options import PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image convert",
    summary="Give an image other compression or another format, under another name",
    description="All platforms that are stored here are converted. Files and metadata stay what"
    " they are; only estargz changes the image ID, because its table of contents is a file of the"
    " layer.",
    operands="SOURCE TARGET",
    at_least=2,
    at_most=2,
    options=(
        option("-c --compression", "string", "Compression of the layers",
               completes="gzip|zstd|uncompressed|estargz"),
        option("-f --documents", "string", "Format of manifest and configuration",
               completes="oci|docker"),
        PLATFORM,
    ),
    completes="image",
    examples=(("sampan image convert web:1 web:1-zstd --compression zstd", "zstd layers"),),
)  # fmt: skip


def run(session: Session, args: Arguments) -> None:
    if not args["compression"] and not args["documents"]:
        raise args.fail("nothing to convert: give --compression or --documents", code=1)
    source, target = args.operands
    query = {
        "to": target,
        "compression": args["compression"] or None,
        "documents": args["documents"] or None,
        "platform": args["platform"] or None,
    }
    made = session.client.call("POST", f"/sampan/images/{source}/convert", query)
    print(made["Digest"])
