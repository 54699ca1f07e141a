"""Layers that are mounted before their bytes are here (docs/decisions/0007-lazy-pull.md).

An eStargz blob ends in a table of contents. From the table alone comes the EROFS index of a layer
file whose data is still a hole; a reader's bytes are fetched as the piece of the blob that holds
them, and given only when their digest is the table's.

    toc.footer(bytes) → where the table begins      toc.unpack(bytes, digest) → the table, checked
    plan.make(table, …) → Plan: the tree, where each file's bytes go, the blob in spans
    promise.Promise                    the layer on the disk, as `l/N/promise` has it
    filling.Filling(place)             the layer on its way: spans accepted, at the end verified

Who fetches, and who answers the kernel meanwhile, is the `engine` room's (engine/pages).
"""
