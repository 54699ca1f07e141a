"""`sampan bake`: many builds from one file.

`hcl`, `document` and `compose_file` read a file into a `Source`; `definition.Definition` merges
them and gives plain targets, with `evaluate` and `functions` for what is computed;
`jobs.words` turns a target into the options of `sampan build`, which builds it.

Facts: https://docs.docker.com/build/bake/reference/
"""
