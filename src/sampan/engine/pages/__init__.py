"""The page server: a small process that gives the kernel the bytes of lazy layers.

One for an engine's directories, started with the first lazy layer, gone with the last. It outlives
the engine; when it dies itself readers get an I/O error until the engine has started another.

    source.Source      which bytes are missing, fetched once whoever wants them, and all in the end
    device.Device      a layer file as a block device: a loop device over a FUSE file of ours, and
                       over the layer file itself when that is whole
    server.main        the process; requests come over run/pages.sock
    client.Pages       the engine's side, blocking
"""
