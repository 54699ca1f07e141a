"""The Docker Engine API from the caller's side: blocking, standard library, light to import.

    with api.Client("unix:///run/sampan/sampan.sock") as client:
        for container in client.call("GET", "/containers/json", {"all": True}):
            ...

`api` is the face; `http` speaks HTTP/1.1 on one connection, `address` opens it, `errors` turns
`{"message": …}` into the six kinds, `wirejson` is JSON without the cost of importing `json`.
"""
