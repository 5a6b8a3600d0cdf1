"""A file a grant type: each turns a checked client and its request into a token response."""
