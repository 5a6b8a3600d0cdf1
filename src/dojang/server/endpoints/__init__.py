"""A function an endpoint: a request in, a response out. No sockets, no framework."""
