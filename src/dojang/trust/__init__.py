"""Verified caches: key sets, revocations, and the proof of a client."""
