"""A build's cache as documents: what is written is read again, what others wrote does no harm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.build import cache_manifest, cache_options
from sampan.build.cache_manifest import Entries
from sampan.build.state import Layer
from sampan.kit import errors
from sampan.spec import oci_image


def layer(letter: str, kind: str = oci_image.LAYER_GZIP) -> Layer:
    digest = f"sha256:{letter * 64}"
    described = {"mediaType": kind, "digest": digest, "size": 1}
    return Layer(descriptor=described, diff_id=f"sha256:{letter.upper() * 64}")


ENTRIES = Entries(
    steps={"k1": layer("a"), "k2": layer("b"), "k3": None, "k4": layer("a")},
    mounts={"pip": layer("c")},
)


@pytest.mark.parametrize(
    ("image_manifest", "oci", "kind"),
    [
        (True, True, oci_image.MANIFEST),
        (False, True, oci_image.INDEX),
        (False, False, oci_image.DOCKER_LIST),
    ],
)
def test_a_cache_is_read_as_it_was_written(image_manifest: bool, oci: bool, kind: str) -> None:
    config, manifest = cache_manifest.documents(ENTRIES, image_manifest=image_manifest, oci=oci)
    top = json.loads(manifest)
    assert top["mediaType"] == kind
    described, layers = cache_manifest.descriptors(top)
    assert described == oci_image.descriptor(cache_manifest.CONFIG, config)
    assert len(layers) == 3  # each blob once
    assert cache_manifest.read(layers, json.loads(config)) == ENTRIES


def test_an_image_carries_the_steps_of_its_own_layers() -> None:
    base, mine = layer("f"), layer("a")
    text = cache_manifest.inline(ENTRIES.steps, [base, mine])
    manifest = {"config": {}, "layers": [base.descriptor, mine.descriptor]}
    config = {"rootfs": {"type": "layers", "diff_ids": [base.diff_id, mine.diff_id]}}
    found = cache_manifest.read_inline({**config, cache_manifest.INLINE: text}, manifest)
    assert found.steps == {"k1": mine, "k3": None, "k4": mine}
    assert cache_manifest.read_inline(config, manifest) == Entries()


def test_what_buildkit_wrote_holds_nothing_of_ours() -> None:
    """Its records hang together by their inputs; one of them has layers upon layers."""
    config: dict[str, Any] = {
        "layers": [{"blob": layer("a").descriptor["digest"], "parent": -1}],
        "records": [
            {"digest": "sha256:1", "inputs": [[{"link": 1}]], "layers": [{"layer": 0}]},
            {"digest": "sha256:2", "chains": [{"layers": [0, 0]}]},
            {"digest": "sha256:3", "layers": [{"layer": 9}]},
        ],
    }
    assert cache_manifest.read([layer("a").descriptor], config).steps == {}


@pytest.mark.parametrize("config", [{"records": 1}, {"layers": ["x"]}, {"records": [[]]}])
def test_a_damaged_cache_is_none(config: dict[str, Any]) -> None:
    with pytest.raises(cache_manifest.NotACache, match="no list of objects"):
        cache_manifest.read([], config)


@pytest.mark.parametrize(
    ("kind", "attrs", "sentence"),
    [
        ("gha", {}, "--cache-to type=gha is not supported: inline, local, registry are"),
        ("disk", {}, "the type 'disk' is none of"),
        ("local", {}, "type=local: dest=DIRECTORY is wanted"),
        ("registry", {}, "type=registry: ref=NAME is wanted"),
        ("registry", {"ref": "x", "mode": "all"}, "mode=all: min or max is wanted"),
        ("registry", {"ref": "x", "mde": "max"}, "unexpected key 'mde'"),
        ("registry", {"ref": "x", "image-manifest": "yes"}, "true or false is wanted"),
        ("registry", {"ref": "x", "compression": "lz4"}, "one of gzip, zstd, uncompressed"),
        ("registry", {"ref": "x", "compression": "estargz"}, "other layers than the steps made"),
        ("registry", {"ref": "x", "oci-mediatypes": "0", "image-manifest": "1"}, "needs oci-media"),
        ("local", {"dest": "x", "compression-level": "fast"}, "no number"),
    ],
)
def test_a_wrong_option_is_named(kind: str, attrs: dict[str, str], sentence: str) -> None:
    with pytest.raises(errors.SampanError) as refused:
        cache_options.parse_export(kind, attrs)
    assert sentence in str(refused.value)
