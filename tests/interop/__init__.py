"""Dojang beside software that others wrote, as it is published: `dojang serve` in a process of its
own, and nothing in place of anything."""
