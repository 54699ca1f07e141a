"""Images whose every digest is a sha512: unpacked, saved, loaded, and named as any other."""

import io

import pytest

from sampan.image import archive, content, layers
from sampan.image.erofs.layers import ErofsLayers
from sampan.image.unpack import DiffIdMismatch

from .strong import BLOBS, CONFIG, LAYER, MANIFEST, NAME, layout, sha512, store


@pytest.mark.parametrize("kind", [layers.Layers, ErofsLayers])
def test_a_layer_is_checked_by_its_sha512(kind, tmp_path) -> None:
    made = kind(str(tmp_path))
    with pytest.raises(DiffIdMismatch, match="sha512:0000"):
        made.unpack("sha256:x", None, io.BytesIO(LAYER), "sha512:" + "0" * 128)
    done = made.unpack(sha512(LAYER), None, io.BytesIO(LAYER), sha512(LAYER))
    assert done.diff_id == sha512(LAYER)
    assert made.has(sha512(LAYER))
    assert list(made.layers()) == [sha512(LAYER)]


def test_save_and_load_keep_every_digest(tmp_path) -> None:
    written = io.BytesIO()
    archive.save(
        store(tmp_path / "one"),
        [archive.Saved(digest=sha512(MANIFEST), names=(NAME,))],
        written.write,
    )
    for form in (written.getvalue(), layout()):
        target = content.FileStore(str(tmp_path / "two"))
        (loaded,) = archive.load(target, iter([form]))
        assert loaded.manifest == sha512(MANIFEST)
        assert loaded.names == (NAME,)
        assert set(target.walk()) == {sha512(data) for data in BLOBS}
        for digest in list(target.walk()):
            target.delete(digest)


def test_a_blob_that_is_not_what_its_sha512_says(tmp_path) -> None:
    wrong = layout().replace(CONFIG, CONFIG.replace(b"linux", b"minix"))
    target = content.FileStore(str(tmp_path))
    with pytest.raises(content.DigestMismatch, match="sha512"):
        archive.load(target, iter([wrong]))
    assert not list(target.walk())
