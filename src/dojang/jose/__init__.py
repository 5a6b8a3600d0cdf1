"""Keys, signatures and seals; the only importer of cryptography and joserfc."""
