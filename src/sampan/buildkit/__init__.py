"""BuildKit's front door: the gRPC services and sessions that `docker buildx` and compose 2 speak.

A client makes two connections, both HTTP upgraded to h2c on Docker's API. On `/grpc` it calls us
(`control`, `bridge`); on `/session` we call it (`sessions`): for the files of the build context
(`filesync`), secrets, ssh agents, credentials, and to hand over what was built. The build itself is
the engine's; this room translates requests into its options and its progress into vertices.

Everything here is imported when the first such connection comes (`door`), not before.
"""
