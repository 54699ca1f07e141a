"""Requirements of image-spec 1.1 on documents, a test each, named after the requirement."""

import base64

import pytest

from sampan.spec import oci_image, reference
from sampan.spec.oci_image import Platform

AMD64 = Platform(os="linux", architecture="amd64")


def entry(architecture="amd64", **more):
    platform = {"os": "linux", "architecture": architecture, **more.pop("platform", {})}
    return {"mediaType": oci_image.MANIFEST, "digest": "x", "platform": platform, **more}


def test_json_with_a_name_twice_is_refused():
    with pytest.raises(oci_image.BadDocument, match="'layers' stands in it twice"):
        oci_image.decode(b'{"layers": [], "layers": [1]}')


@pytest.mark.parametrize("data", [b"\xff{}", b"[]", b"", b"{", b'"x"', b"[" * 100_000])
def test_json_must_be_an_object_in_utf_8(data):
    with pytest.raises(oci_image.BadDocument):
        oci_image.decode(data)


def test_unknown_properties_are_no_error():
    assert oci_image.decode(b'{"x-unknown": {"a": null}}') == {"x-unknown": {"a": None}}


def test_the_empty_descriptor_is_what_it_says():
    empty = oci_image.EMPTY_DESCRIPTOR
    data = base64.b64decode(str(empty["data"]))
    assert (empty["digest"], empty["size"]) == (oci_image.digest_of(data), len(data))


@pytest.mark.parametrize(
    "document",
    [
        {"mediaType": oci_image.MANIFEST, "manifests": []},
        {"mediaType": oci_image.INDEX, "layers": []},
        {"manifests": [], "config": {}},
    ],
)
def test_a_document_is_a_manifest_or_an_index(document):
    with pytest.raises(oci_image.BadDocument):
        oci_image.media_type(document)


def test_an_index_may_be_empty():
    with pytest.raises(oci_image.NoMatchingPlatform):
        oci_image.choose({"manifests": []}, AMD64)


def test_the_first_matching_platform_wins():
    first, second = entry(digest="first"), entry(digest="second")
    assert oci_image.choose({"manifests": [first, second]}, AMD64) == first


def test_an_attestation_is_never_chosen():
    attestation = entry(annotations={"vnd.docker.reference.type": "attestation-manifest"})
    unknown = {"mediaType": oci_image.MANIFEST, "platform": {"os": "unknown"}}
    with pytest.raises(oci_image.NoMatchingPlatform):
        oci_image.choose({"manifests": [attestation, unknown]}, AMD64)


def test_an_image_that_needs_os_features_is_not_chosen():
    special = entry(platform={"os.features": ["erofs"]}, digest="special")
    plain = entry(digest="plain")
    assert oci_image.choose({"manifests": [special, plain]}, AMD64) == plain


def test_a_lower_variant_runs_on_a_higher_one():
    low, high = entry(platform={"variant": "v2"}), entry(platform={"variant": "v4"})
    wanted = Platform(os="linux", architecture="amd64", variant="v3")
    assert oci_image.choose({"manifests": [high, low]}, wanted) == low


def test_an_unknown_media_type_in_an_index_is_no_error():
    odd = {"mediaType": "application/x-odd", "digest": "odd"}
    plain = entry(digest="plain")
    assert oci_image.choose({"manifests": [odd, plain]}, AMD64) == plain


@pytest.mark.parametrize(
    ("digest", "valid"),
    [
        ("blake3:" + "0" * 64, True),
        ("blake3:" + "0" * 32, False),
        ("sha256:" + "A" * 64, False),
        ("sha512:" + "0" * 64, False),
    ],
)
def test_registered_algorithms_have_their_lengths(digest, valid):
    assert reference.valid_digest(digest) == valid
