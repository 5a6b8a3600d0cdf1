"""Databases behind `dojang.server.ports`: memory, SQLite and PostgreSQL."""
