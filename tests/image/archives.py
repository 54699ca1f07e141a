"""Tar streams for tests, made by Python's own tarfile so that writer and reader differ."""

import io
import os
import tarfile

KINDS = {
    "file": tarfile.REGTYPE, "directory": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "device": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
}  # fmt: skip


def member(name, kind="file", data=b"", **attributes):
    info = tarfile.TarInfo(os.fsdecode(name))
    info.type, info.size = KINDS[kind], len(data)
    info.mode = 0o755 if kind == "directory" else 0o644
    info.mtime = 1_000_000_000
    for key, value in attributes.items():
        setattr(info, {"link": "linkname", "xattrs": "pax_headers"}.get(key, key), value)
    if "xattrs" in attributes:
        info.pax_headers = {f"SCHILY.xattr.{k}": v for k, v in attributes["xattrs"].items()}
    return info, data


def archive(*members, form=tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def raw_header(name: bytes, kind: bytes = b"0", size: bytes = b"%011o\0" % 0, **fields) -> bytes:
    """A header block by hand; `fields` are bytes at offsets, as `at_100=b"…"`."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:124] = b"0000644\0" + b"0000000\0" * 2
    block[124:136] = size
    block[136:148] = b"%011o\0" % 0
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    for key, value in fields.items():
        at = int(key.removeprefix("at_"))
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)
