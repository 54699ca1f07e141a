"""An image whose every digest is a sha512."""

from __future__ import annotations

import hashlib

from sampan.image import content
from sampan.spec import oci_image

from .archives import archive as pack
from .archives import member

LAYER = pack(member("a", data=b"1"))


def sha512(data: bytes) -> str:
    return "sha512:" + hashlib.sha512(data).hexdigest()


def described(kind: str, data: bytes) -> dict:
    return {"mediaType": kind, "digest": sha512(data), "size": len(data)}


CONFIG = oci_image.encode(
    {
        "os": "linux",
        "architecture": oci_image.host_platform().architecture,
        "rootfs": {"type": "layers", "diff_ids": [sha512(LAYER)]},
    }
)
MANIFEST = oci_image.encode(
    {
        "schemaVersion": 2,
        "mediaType": oci_image.MANIFEST,
        "config": described(oci_image.CONFIG, CONFIG),
        "layers": [described(oci_image.LAYER, LAYER)],
    }
)
BLOBS = (LAYER, CONFIG, MANIFEST)
NAME = "docker.io/library/strong:1"


def layout(name: str = NAME) -> bytes:
    """An OCI layout of it, in a tar."""
    top = described(oci_image.MANIFEST, MANIFEST)
    top["annotations"] = {"io.containerd.image.name": name}
    books = {"index.json": {"manifests": [top]}, "oci-layout": {"imageLayoutVersion": "1.0.0"}}
    return pack(
        *(member(f"blobs/sha512/{sha512(data)[7:]}", data=data) for data in BLOBS),
        *(member(path, data=oci_image.encode(book)) for path, book in books.items()),
    )


def store(place) -> content.FileStore:
    made = content.FileStore(str(place))
    for data in BLOBS:
        with made.write() as ingest:
            ingest.write(data)
            ingest.commit(sha512(data))
    return made
