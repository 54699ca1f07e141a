"""What this engine says of itself as a BuildKit worker."""

from __future__ import annotations

from typing import Any

from sampan.spec import oci_image

# The release whose protocols are spoken: clients compare it.
VERSION = {
    "package": "github.com/moby/buildkit",
    "version": "v0.25.0",
    "revision": "sampan",
    "dockerfileVersion": "1.26.0",
}
_LABEL = "org.mobyproject.buildkit.worker"


def worker() -> dict[str, Any]:
    """A WorkerRecord. From the snapshotter's label buildx learns of the other exporters."""
    here = oci_image.host_platform()
    return {
        "ID": "sampan",
        "Labels": {f"{_LABEL}.executor": "sampan", f"{_LABEL}.snapshotter": "sampan"},
        "platforms": [{"OS": here.os, "Architecture": here.architecture, "Variant": here.variant}],
        "BuildkitVersion": VERSION,
    }
