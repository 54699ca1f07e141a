"""What this engine says of itself as a BuildKit worker."""

from __future__ import annotations

from typing import Any

from sampan.spec import oci_image

# The release whose protocols are spoken: clients compare it.
VERSION = {"package": "github.com/moby/buildkit", "version": "v0.25.0", "revision": "sampan"}


def worker() -> dict[str, Any]:
    """A WorkerRecord."""
    here = oci_image.host_platform()
    return {
        "ID": "sampan",
        "Labels": {"org.mobyproject.buildkit.worker.executor": "sampan"},
        "platforms": [{"OS": here.os, "Architecture": here.architecture, "Variant": here.variant}],
        "BuildkitVersion": VERSION,
    }
