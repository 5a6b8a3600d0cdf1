"""HTTP: from bytes on a socket to a `Request`, and from a `Response` back.

`serving` opens the listeners, `protocol` speaks HTTP/1.1 within the limits, `routing` finds the
endpoint; `asgi` gives the same routes to any ASGI server.
"""
