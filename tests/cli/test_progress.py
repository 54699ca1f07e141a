"""Progress of a pull: on a terminal a line for each layer, elsewhere each word once."""

import io

import pytest

from sampan.cli import progress

MESSAGES = [
    {"status": "Pulling from library/nginx", "id": "1.25"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "aaa"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "bbb"},
    {"status": "Downloading", "progressDetail": {"current": 5000, "total": 10000}, "id": "aaa"},
    {"status": "Downloading", "progressDetail": {"current": 9000, "total": 10000}, "id": "aaa"},
    {"status": "Pull complete", "progressDetail": {}, "id": "aaa"},
    {"status": "Pull complete", "progressDetail": {}, "id": "bbb"},
    {"status": "Digest: sha256:1"},
]


class Screen(io.StringIO):
    """A terminal: what would stand on it after all that was written."""

    def isatty(self):
        return True

    def fileno(self):
        raise OSError("a terminal without a size")

    def lines(self):
        lines, row = [""], 0
        text = self.getvalue()
        index = 0
        while index < len(text):
            if text[index] == "\x1b":
                end = index + 2
                while text[end].isdigit():
                    end += 1
                count = int(text[index + 2 : end] or 1)
                if text[end] == "A":
                    row -= count
                elif text[end] == "B":
                    row += count
                elif text[end] == "K":
                    lines[row] = ""
                index = end + 1
                assert 0 <= row < len(lines), "the cursor left what was drawn"
                continue
            if text[index] == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif text[index] != "\r":
                lines[row] += text[index]
            index += 1
        return lines


def test_plain_lines():
    out = io.StringIO()
    progress.show(MESSAGES, out=out)
    assert out.getvalue().splitlines() == [
        "1.25: Pulling from library/nginx",
        "aaa: Pulling fs layer",
        "bbb: Pulling fs layer",
        "aaa: Pull complete",
        "bbb: Pull complete",
        "Digest: sha256:1",
    ]


def test_a_terminal_shows_a_line_for_each_layer():
    screen = Screen()
    progress.show(MESSAGES[:4], out=screen)
    assert screen.lines() == [
        "1.25: Pulling from library/nginx",
        "aaa: Downloading [" + "=" * 25 + ">" + " " * 24 + "]  5kB/10kB",
        "bbb: Pulling fs layer",
        "",
    ]
    screen = Screen()
    progress.show(MESSAGES, out=screen)
    assert screen.lines() == [
        "1.25: Pulling from library/nginx",
        "aaa: Pull complete",
        "bbb: Pull complete",
        "Digest: sha256:1",
        "",
    ]


def test_an_error_in_the_stream_is_raised():
    message = {"error": "x", "errorDetail": {"code": 404, "message": "no such manifest"}}
    with pytest.raises(progress.Failed, match="no such manifest"):
        progress.drain([message])


def test_aux_documents_are_handed_on():
    found = []
    progress.show([{"aux": {"ID": "sha256:1"}}], out=io.StringIO(), on_aux=found.append)
    assert found == [{"ID": "sha256:1"}]
