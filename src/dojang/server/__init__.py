"""The authorization server: grants, keys, facts and what its endpoints answer."""
