"""Layers that are never unpacked: the tar is kept, and the kernel reads it through an EROFS index.

One sparse file holds both. The index comes first and may take up to RESERVE bytes, of which only
those that are used exist on the disk; the layer's plain tar lies at RESERVE, byte by byte as it
came. A file's data starts at a multiple of 512 in a tar, so the file system has blocks of 512 bytes
and every regular file is one contiguous run of the tar. No second device, no chunk map.

    tree.Tree          the members of a tar, as extracting them would leave them
    index.pack(tree)   that tree as EROFS: superblock, inodes, directories, extended attributes
    build.build(…)     a stream of tar into such a file, hashed on the way
    mounting.mount(…)  a detached mount of it: of the file (Linux 6.12), or of a loop device

The kernel's Documentation/filesystems/erofs.rst and erofs_fs.h describe the format.
"""
