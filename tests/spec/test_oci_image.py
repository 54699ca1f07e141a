import pytest

from sampan.kit import errors
from sampan.spec import oci_image
from sampan.spec.oci_image import Platform


def index(*platforms):
    entries = []
    for number, text in enumerate(platforms):
        entry = {"digest": str(number)}
        if text:
            names = dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))
            entry["platform"] = names
        entries.append(entry)
    return {"manifests": entries}


CHOICES = [
    (["linux/amd64", "linux/arm64"], "linux/arm64", 1),
    (["windows/amd64", "linux/amd64"], "linux/amd64", 1),
    (["linux/arm64/v8"], "linux/arm64", 0),
    (["linux/arm64"], "linux/arm64/v8", 0),
    (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm", 2),
    (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v6", 1),
    (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", 1),
    (["linux/arm/v5"], "linux/arm", 0),
    (["linux/arm/v7", "linux/arm/v6"], "linux/arm/v5", None),
    (["linux/amd64/v2", "linux/amd64"], "linux/amd64", 1),
    (["linux/amd64/v2"], "linux/amd64", 0),
    (["unknown/unknown", "linux/amd64"], "linux/amd64", 1),
    (["unknown/unknown"], "linux/amd64", None),
    (["linux/amd64", "linux/amd64"], "linux/amd64", 0),
    (["linux/s390x"], "linux/amd64", None),
    ([""], "linux/amd64", 0),
    (["", "linux/s390x"], "linux/amd64", None),
    ([], "linux/amd64", None),
]


@pytest.mark.parametrize(("offered", "wanted", "expected"), CHOICES)
def test_choice(offered, wanted, expected):
    platform = oci_image.parse_platform(wanted)
    if expected is None:
        with pytest.raises(oci_image.NoMatchingPlatform, match=wanted):
            oci_image.choose(index(*offered), platform)
    else:
        assert oci_image.choose(index(*offered), platform)["digest"] == str(expected)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("LINUX/AMD64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_platforms_are_read(text, shown):
    assert str(oci_image.parse_platform(text)) == shown


def test_an_os_alone_means_this_machine():
    assert oci_image.parse_platform("linux") == oci_image.host_platform()


@pytest.mark.parametrize("text", ["", "linux/", "/amd64", "a/b/c/d", "linux//v7"])
def test_what_is_no_platform(text):
    with pytest.raises(errors.InvalidArgument):
        oci_image.parse_platform(text)


def test_chain_ids():
    """L0, then the SHA256 of "ChainID(L0) L1" (config.md); figures of coreutils' sha256sum."""
    a, b, c = (f"sha256:{letter * 64}" for letter in "abc")
    assert oci_image.chain_ids([a]) == [a]
    assert oci_image.chain_ids([a, b, c]) == [
        a,
        "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c",
        "sha256:c1377126441fb2f5ec2c21ae2a60255331d639e830f0ee1b40a36e52d4c40588",
    ]
    assert oci_image.chain_ids([]) == []


def test_layers_pair_with_diff_ids():
    manifest, config = {"layers": [{"digest": "d"}]}, {"rootfs": {"diff_ids": ["x"]}}
    assert oci_image.layers_of(manifest, config) == [({"digest": "d"}, "x")]
    with pytest.raises(errors.InvalidArgument, match="1 layers, its config 0 diff_ids"):
        oci_image.layers_of(manifest, {})
    with pytest.raises(errors.InvalidArgument, match="squashfs"):
        oci_image.layers_of(manifest, {"rootfs": {"type": "squashfs"}})


def test_a_document_without_media_type_shows_what_it_is():
    assert oci_image.media_type({"manifests": []}) == oci_image.INDEX
    assert oci_image.media_type({"config": {}}) == oci_image.MANIFEST
    assert oci_image.media_type({"mediaType": oci_image.DOCKER_LIST}) == oci_image.DOCKER_LIST


def test_platform_text():
    assert str(Platform(os="linux", architecture="arm", variant="v6")) == "linux/arm/v6"


@pytest.mark.parametrize(
    ("text", "found"),
    [("linux/x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("macos/arm64", "darwin/arm64")],
)
def test_a_platform_has_one_name(text: str, found: str) -> None:
    assert str(oci_image.parse_platform(text)) == found
