"""A layer seen as files in both ways: unpacked, and by an index of its tar which is mounted."""

import os

import pytest

from sampan.image.erofs import build, mounting
from sampan.image.unpack import unpack


def in_pieces(data):
    return (data[at : at + 700] for at in range(0, len(data), 700))


class Unpack:
    """put(directory, tar): what comes out is in that directory."""

    has_holes = True

    def __call__(self, place, data, **options):
        fd = os.open(place, os.O_RDONLY)
        try:
            return unpack(in_pieces(data), fd, **options)
        finally:
            os.close(fd)

    def close(self):
        pass


class Index:
    """The same, mounted: the directory becomes a link to it as long as the test runs."""

    has_holes = False

    def __init__(self, layers):
        self.layers, self.shown = layers, {}

    def __call__(self, place, data, *, expected=None, **options):
        if options:
            pytest.skip("whiteouts always count in a layer, and its stream is bounded before")
        layer = self.layers / f"{len(self.shown)}"
        fd = os.open(layer, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            done, _ = build.build(in_pieces(data), fd, expected=expected)
        finally:
            os.close(fd)
        tree = mounting.mount(str(layer), "file")
        os.rmdir(place)
        os.symlink(f"/proc/{os.getpid()}/fd/{tree}", place)
        self.shown[place] = tree
        return done

    def close(self):
        for place, tree in self.shown.items():
            os.unlink(place)
            os.mkdir(place)
            os.close(tree)


@pytest.fixture(params=["unpacked", pytest.param("indexed", marks=pytest.mark.needs("erofs"))])
def put(request, tmp_path_factory):
    made = Unpack() if request.param == "unpacked" else Index(tmp_path_factory.mktemp("layers"))
    yield made
    made.close()
