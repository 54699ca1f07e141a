"""Words of --output, --annotation and --provenance, and what provenance tells of a build."""

from __future__ import annotations

import pytest

from sampan.build import output_options, provenance
from sampan.kit import errors


@pytest.mark.parametrize(
    ("kind", "attrs", "sentence"),
    [
        ("disk", {}, "the type is one of image, registry"),
        ("image", {"push": "true"}, "the image has no name: give --tag"),
        ("image", {"compression": "lz4"}, "compression=lz4: one of gzip, zstd"),
        ("image", {"colour": "red"}, "type=image: unexpected key 'colour'"),
        ("local", {"compression": "gzip"}, "type=local: unexpected key 'compression'"),
        ("image", {"annotation-config.a": "b"}, "'config' is none of manifest, index"),
        ("oci", {"annotation-index.a": "b", "oci-mediatypes": "false"}, "only manifests have them"),
        ("image", {"force-compression": "maybe"}, "true or false is wanted"),
    ],
)
def test_a_wrong_output_is_named(kind: str, attrs: dict[str, str], sentence: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        output_options.parse(kind, attrs)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "attrs"),
    [
        ("a.b/c=d", {"annotation-manifest.a.b/c": "d"}),
        ("index,manifest:a=b:c", {"annotation-index.a": "b:c", "annotation-manifest.a": "b:c"}),
        ("manifest[linux/arm64]:a=b", {"annotation-manifest[linux/arm64].a": "b"}),
        ("other:a=b", {"annotation-manifest.other:a": "b"}),
    ],
)
def test_annotations_say_where_they_go(text: str, attrs: dict[str, str]) -> None:
    assert output_options.annotation(text) == attrs


def test_an_annotation_of_one_platform_wins_there() -> None:
    attrs = {"annotation.a": "all", "annotation[linux/arm64].a": "arm", "name": "x"}
    found = output_options.parse("image", attrs).annotations
    assert output_options.of_level(found, "manifest", "linux/arm64") == {"a": "arm"}
    assert output_options.of_level(found, "manifest", "linux/amd64") == {"a": "all"}
    assert output_options.of_level(found, "index") == {}


FACTS = provenance.Facts(
    args={"build-arg:TOKEN": "x", "label:a": "b", "target": "t"},
    text="FROM scratch\n",
    locals=("context", "dockerfile"),
    secrets=("key",),
    materials=(provenance.Material(uri="pkg:docker/a@1", digest=f"sha256:{'1' * 64}"),),
    networked=True,
)


def test_the_least_provenance_leaks_no_value() -> None:
    wanted = provenance.parse("mode=min")
    assert wanted is not None
    made = provenance.predicate(wanted, FACTS, builder="linux/amd64")
    request = made.content["buildDefinition"]["externalParameters"]["request"]
    assert made.type == "https://slsa.dev/provenance/v1"
    assert request["args"] == {"target": "t"} and "secrets" not in request
    complete = made.content["runDetails"]["metadata"]["buildkit_completeness"]
    assert complete == {"request": False, "resolvedDependencies": False}
    assert made.content["buildDefinition"]["resolvedDependencies"] == [
        {"uri": "pkg:docker/a@1", "digest": {"sha256": "1" * 64}}
    ]


@pytest.mark.parametrize("version", ["v1", "v0.2"])
def test_the_most_has_arguments_secrets_and_the_dockerfile(version: str) -> None:
    wanted = provenance.parse(f"mode=max,version={version},builder-id=me")
    assert wanted is not None
    content = provenance.predicate(wanted, FACTS, builder="linux/amd64").content
    if version == "v1":
        request = content["buildDefinition"]["externalParameters"]["request"]
        assert content["runDetails"]["builder"] == {"id": "me"}
        told = content["runDetails"]["metadata"]["buildkit_metadata"]
    else:
        request = content["invocation"]["parameters"]
        assert content["builder"] == {"id": "me"}
        told = content["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]
    assert request["args"] == dict(FACTS.args) and request["secrets"] == [{"id": "key"}]
    assert told["source"]["infos"][0]["data"] == "RlJPTSBzY3JhdGNoCg=="


def test_provenance_is_refused_or_wrong() -> None:
    assert provenance.parse("false") is None and provenance.parse("disabled=true") is None
    assert provenance.parse("true") == provenance.Wanted()
    for text in ("mode=some", "version=v3", "colour=red", "reproducible=perhaps"):
        with pytest.raises(errors.InvalidArgument, match="--provenance"):
            provenance.parse(text)
    with pytest.raises(errors.Unsupported, match="type sbom are not supported"):
        provenance.attests({"sbom": ""})
    assert provenance.attests({"sbom": "disabled=true"}) is None


def test_compose_loads_what_it_builds():
    assert output_options.parse("moby", {"name": "a", "load": "true"}).names == (
        "docker.io/library/a:latest",
    )
