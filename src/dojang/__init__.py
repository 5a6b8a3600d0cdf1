"""Dojang."""
