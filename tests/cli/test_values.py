"""The small languages of option values."""

import pytest

from sampan.cli import moments, units, values
from sampan.cli.parse import detach_keys, ports
from sampan.kit import errors

GOOD = [
    ("bytes", "1024", 1024),
    ("bytes", "1.5g", 1610612736),
    ("bytes", "64KiB", 65536),
    ("bytes", "10 mb", 10485760),
    ("swap", "-1", -1),
    ("cpus", "1.5", 1_500_000_000),
    ("cpus", ".001", 1_000_000),
    ("duration", "1m30s", 90_000_000_000),
    ("duration", "1.5h", 5_400_000_000_000),
    ("duration", "300ms", 300_000_000),
    ("duration", "0", 0),
    ("expose", "80-81/udp", ["80/udp", "81/udp"]),
    ("volume", "/c", ("/c", False)),
    ("volume", "data:/c:ro", ("data:/c:ro", True)),
    ("host", "h=[::1]", "h:::1"),
    ("host", "h:host-gateway", "h:host-gateway"),
    ("restart", "on-failure:3", {"Name": "on-failure", "MaximumRetryCount": 3}),
    ("throttle", "/dev/sda:1mb", ("/dev/sda", 1048576)),
    ("ulimit", "nofile=1:2", {"Name": "nofile", "Soft": 1, "Hard": 2}),
]

BAD = [
    ("bytes", "x", "invalid size: 'x'"),
    ("bytes", "-1", "invalid size"),
    ("bytes", "1.2.3", "invalid size"),
    ("bytes", "", "invalid size"),
    ("cpus", "", "no number of CPUs"),
    ("cpus", "-", "no number of CPUs"),
    ("cpus", "0.0000000001", "too precise"),
    ("duration", "5", "invalid duration"),
    ("duration", "", "invalid duration"),
    ("int", "1x", "no whole number"),
    ("bool", "maybe", "neither true nor false"),
    ("publish", "", "no port specified"),
    ("publish", "80:", "no port specified"),
    ("publish", "x:80", "invalid hostPort: x"),
    ("publish", "80:70000", "invalid containerPort: 70000"),
    ("publish", "80/icmp", "invalid proto: icmp"),
    ("publish", "80/", "protocol is missing"),
    ("publish", "80-82:80-81", "differ in length"),
    ("publish", "90-80:80", "ends before it begins"),
    ("publish", "1.2.3:80:80", "invalid IP address: 1.2.3"),
    ("publish", "[::1:80:80", "no closing"),
    ("volume", "", "invalid volume specification"),
    ("volume", "/a:/b:ro:x", "invalid volume specification"),
    ("volume", ":/b", "invalid volume specification"),
    ("volume", "~/a:/b", "did not expand ~"),
    ("mount", "src=a", "target is required"),
    ("mount", "nonsense", "must be a key=value pair"),
    ("mount", "dst=/b,nosuch=1", "unexpected key 'nosuch'"),
    ("mount", "type=bind,src=/a,dst=/b,tmpfs-size=1", "cannot mix 'tmpfs-"),
    ("mount", "type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode"),
    ("device", "null", "not an absolute path"),
    ("device", "/dev/null:/dev/x:rx", "bad mode specified: rx"),
    ("ulimit", "nofile", "invalid ulimit argument"),
    ("ulimit", "files=1", "invalid ulimit type: files"),
    ("ulimit", "nofile=2:1", "less than or equal"),
    ("ulimit", "nofile=a", "no whole number"),
    ("ulimit", "nofile=1:2:3", "too many limit"),
    ("throttle", "sda:1", "bad format"),
    ("host", "h", 'bad format for add-host: "h"'),
    ("host", "h:1.2.3", "invalid IP address"),
    ("restart", "on-failure:x", "maximum retry count must be an integer"),
    ("restart", ":3", "no policy provided before colon"),
    ("sysctl", "kernel.panic=1", "sysctl 'kernel.panic=1' is not allowed"),
    ("network", "name=,alias=x", "not specified"),
    ("network", "alias=x,nosuch=1", "invalid field key"),
    ("env", "=x", "invalid environment variable"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_a_value(kind, text, value):
    assert values.KINDS[kind].parse(text) == value


@pytest.mark.parametrize(("kind", "text", "says"), BAD)
def test_a_malformed_value_is_named(kind, text, says):
    with pytest.raises(ValueError) as caught:
        values.KINDS[kind].parse(text)
    assert says in str(caught.value)


def test_a_range_on_the_host_for_one_port_stays_a_range():
    (published,) = ports.parse("8000-8010:80")
    assert (published.port, published.host_port) == ("80/tcp", "8000-8010")


def test_detach_keys_are_bytes():
    assert detach_keys.sequence("ctrl-p,ctrl-q") == b"\x10\x11"
    assert detach_keys.sequence("a,ctrl-[,ctrl-_") == b"a\x1b\x1f"
    with pytest.raises(ValueError, match="unknown character: 'ctrl-'"):
        detach_keys.sequence("ctrl-")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * 60, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_spans_are_told_as_docker_tells_them(seconds, text):
    assert units.span(seconds) == text


@pytest.mark.parametrize(
    ("size", "digits", "text"),
    [
        (0, 3, "0B"),
        (999, 3, "999B"),
        (1000, 3, "1kB"),
        (1984256, 3, "1.98MB"),
        (1984256, 4, "1.984MB"),
        (123456789012, 3, "123GB"),
    ],
)
def test_sizes(size, digits, text):
    assert units.size(size, digits) == text


def test_points_in_time():
    assert moments.parse("1700000000.5", 0) == "1700000000.5"
    assert moments.parse("10m", 1_700_000_600) == "1700000000.000000000"
    assert moments.parse("2023-11-14T22:13:20Z", 0) == "1700000000.000000000"
    assert moments.parse("2023-11-14T23:13:20.25+01:00", 0) == "1700000000.250000000"
    with pytest.raises(errors.InvalidArgument, match="failed to parse value"):
        moments.parse("yesterday", 0)
