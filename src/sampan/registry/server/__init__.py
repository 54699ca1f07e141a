"""A registry of our own: the distribution specification from the other side.

    server = app.Server(storage.FileStorage(root), index.Index(f"{root}/index.db"))

`storage` keeps bytes by their digest, `index` knows which repository has which blob, manifest and
tag; `uploads` is one push under way; `app` turns HTTP into calls of these. One process, one folder.
https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""
