"""Messages and pure rules of OAuth 2.1: no I/O, no clock. A file a message family."""
