"""The prune commands say what would be freed before they ask."""

import pytest

DF = {
    "Images": [
        {"Id": "sha256:used", "RepoTags": ["a:1"], "Size": 10**6, "SharedSize": 0},
        {"Id": "sha256:idle", "RepoTags": ["b:1"], "Size": 10 * 10**6, "SharedSize": 10**6,
         "SizeContent": 4 * 10**6},
        {"Id": "sha256:none", "RepoTags": [], "Size": 100 * 10**6, "SharedSize": -1},
    ],
    "Containers": [
        {"Id": "1", "ImageID": "sha256:used", "State": "running", "SizeRw": 7 * 10**9},
        {"Id": "2", "ImageID": "sha256:idle", "State": "exited", "SizeRw": 10**9,
         "SizeLogs": 10**9},
    ],
    "Volumes": [
        {"Name": "f" * 64, "UsageData": {"RefCount": 0, "Size": 10**10}},
        {"Name": "named", "UsageData": {"RefCount": 0, "Size": 2 * 10**10}},
        {"Name": "e" * 64, "UsageData": {"RefCount": 1, "Size": 5 * 10**12}},
    ],
    "BuildCache": [
        {"ID": "a", "Type": "regular", "Size": 10**12},
        {"ID": "b", "Type": "regular", "Size": 10**12, "Shared": True},
        {"ID": "c", "Type": "exec.cachemount", "Size": 10**12},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "freed"),
    [
        ("container prune", "2GB"),
        ("image prune", "100MB"),
        ("image prune -a", "100MB"),  # the stopped container keeps its image
        ("volume prune", "10GB"),
        ("volume prune -a", "30GB"),
        ("system prune", "1.002TB"),
        ("system prune -a --volumes", "1.012TB"),
    ],
)
def test_what_would_be_freed(engine, sampan, command, freed):
    engine.answers["GET /system/df"] = (200, DF)
    result = sampan(*command.split(), host=engine.host, stdin="n\n")
    assert f"That frees about {freed}.\n" in result.stdout
    assert not [request for request in engine.requests if request.method == "POST"]


def test_with_force_nothing_is_counted(engine, sampan):
    engine.answers["POST /images/prune"] = (200, {"SpaceReclaimed": 12_000_000})
    result = sampan("image", "prune", "-f", host=engine.host)
    assert result.stdout == "Total reclaimed space: 12MB\n"
    assert not engine.asked("GET /system/df")
