"""Texts for resctrl; the kernel's side of it is on few machines, and on none of ours."""

import pytest

from sampan.linux import resctrl


@pytest.mark.parametrize(
    ("rdt", "text"),
    [
        ({}, ""),
        ({"l3CacheSchema": "L3:0=ff;1=c0"}, "L3:0=ff;1=c0\n"),
        ({"memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=f"}, "L3:0=f\nMB:0=20\n"),
        ({"memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=f\nMB:0=70"}, "L3:0=f\nMB:0=20\n"),
        ({"l3CacheSchema": "L3:0=f\nMB:0=70"}, "L3:0=f\nMB:0=70\n"),
        ({"l3CacheSchema": "L3:0=f", "schemata": ["L3:0=3", "L2:1=7"]}, "L3:0=f\nL3:0=3\nL2:1=7\n"),
    ],
)
def test_cache_then_bandwidth_then_the_lines_that_win(rdt, text):
    assert resctrl.schemata(rdt) == text


@pytest.mark.parametrize(
    ("rdt", "place"),
    [
        ({"l3CacheSchema": 5}, "linux.intelRdt.l3CacheSchema must be a string"),
        ({"schemata": "L3:0=f"}, "linux.intelRdt.schemata must be a list"),
        ({"schemata": ["L3:0=f", "L3"]}, "'L3' is no line"),
        ({"memBwSchema": "MB:0=;1=2"}, "'MB:0=;1=2' is no line"),
    ],
)
def test_what_is_no_schema_is_refused(rdt, place):
    with pytest.raises(resctrl.InvalidRdt, match=place):
        resctrl.schemata(rdt)


def test_a_group_that_exists_is_compared_by_meaning():
    found = "    MB:0=100;1=100\n    L3:0=00ff;1=fffff\n"
    assert resctrl.differences("L3:1=FFFFF;0=ff\nMB:0=100\n", found) == []
    assert resctrl.differences("L3:0=fe\nMB:0=100\n", found) == ["L3:0=fe"]
    assert resctrl.differences("L2:0=f\n", found) == ["L2:0=f"]


def test_the_group_is_named_by_the_class_or_by_the_container():
    assert resctrl.Group({}, "web").directory == "/sys/fs/resctrl/web"
    assert resctrl.Group({"closID": "gold"}, "web").directory == "/sys/fs/resctrl/gold"
    assert resctrl.Group({"closID": "/"}, "web").directory == "/sys/fs/resctrl"
    for name in ("..", "info", "a/b", "/x/y", "mon_groups"):
        with pytest.raises(resctrl.InvalidRdt, match="is no name of a group"):
            resctrl.Group({"closID": name}, "web")
