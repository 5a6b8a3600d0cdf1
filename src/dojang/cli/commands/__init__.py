"""A module a noun."""
