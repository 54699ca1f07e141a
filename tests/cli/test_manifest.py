"""`sampan manifest`: lists of a registry's images, in files that docker's program reads, too."""

import json

import pytest

from tests.registry.server.conftest import Registry

CONFIG = "application/vnd.oci.image.config.v1+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    running = Registry(tmp_path_factory.mktemp("registry"))
    for architecture in ("amd64", "arm64"):
        image = running.image(f"app-{architecture}", architecture.encode())
        config = json.dumps({"os": "linux", "architecture": architecture}).encode()
        digest = running.push_blob(f"app-{architecture}", config)
        image["config"] = {"mediaType": CONFIG, "digest": digest, "size": len(config)}
        assert running.push_manifest(f"app-{architecture}", "1", image).status == 201
    yield running
    running.stop()


@pytest.fixture
def names(registry):
    at = registry.address
    return f"{at}/app:1", f"{at}/app-amd64:1", f"{at}/app-arm64:1"


def test_one_name_for_two_platforms(sampan, registry, names):
    app, *images = names
    made = sampan("manifest", "create", app, *images)
    assert (made.returncode, made.stdout) == (0, f"Created manifest list {app}\n"), made.stderr
    done = sampan("manifest", "annotate", app, images[1], "--variant", "v8", "--os-features", "a,b")
    assert done.returncode == 0, done.stderr
    shown = sampan("manifest", "inspect", app).stdout
    pushed = sampan("manifest", "push", "--purge", app)
    assert pushed.returncode == 0, pushed.stderr
    kept = registry("GET", "/v2/app/manifests/1")
    assert kept.body.decode() == shown.rstrip("\n")
    assert pushed.stdout.splitlines()[-1] == kept.headers["Docker-Content-Digest"]
    index = json.loads(kept.body)
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "os.features": ["a", "b"], "variant": "v8"},
    ]
    for entry in index["manifests"]:  # the images are the list's repository's now, blobs and all
        found = registry("GET", f"/v2/app/manifests/{entry['digest']}")
        layer = json.loads(found.body)["layers"][0]["digest"]
        assert registry("HEAD", f"/v2/app/blobs/{layer}").status == 200
    assert sampan("manifest", "rm", app).stderr == f"No such manifest: {app}\n"
    told = json.loads(sampan("manifest", "inspect", "-v", app).stdout)  # of the registry
    assert told[1]["Descriptor"]["platform"]["variant"] == "v8"


def test_a_list_is_added_to_when_that_is_said(sampan, names):
    app, *images = names
    assert sampan("manifest", "create", app, images[0]).returncode == 0
    refused = sampan("manifest", "create", app, images[1])
    assert refused.returncode == 1
    assert "refusing to amend an existing manifest list with no --amend flag" in refused.stderr
    assert sampan("manifest", "create", "--amend", app, images[1]).returncode == 0
    assert len(json.loads(sampan("manifest", "inspect", app).stdout)["manifests"]) == 2
    removed = sampan("manifest", "rm", "nothing", app)
    assert (removed.returncode, removed.stderr) == (
        1,
        "No such manifest: docker.io/library/nothing:latest\n",
    )


def test_what_is_refused(sampan, names, tmp_path):
    app, *images = names

    def fails(*words):
        done = sampan("manifest", *words)
        assert done.returncode == 1
        return done.stderr.strip()

    missing = app.replace("app", "none")
    assert fails("inspect", missing) == f"no such manifest: {missing}"
    sampan("manifest", "create", app, images[0])
    assert fails("annotate", app, images[0], "--arch", "z80") == (
        "manifest entry for image has unsupported os/arch combination: linux/z80"
    )
    assert fails("annotate", app, images[1], "--arch", "arm64") == (
        f"manifest for image {images[1]} does not exist in {app}"
    )
    sampan("manifest", "create", "other.example/app:1", images[0])
    assert "from a different registry than the target" in fails("push", "other.example/app:1")
    (file,) = (tmp_path / "config/manifests").glob("127*app-1/*")
    file.write_text('{"Ref": 7}')
    assert f"{file} is no manifest's file" in fails("push", app)
