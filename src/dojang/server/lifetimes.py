"""How long things live, in seconds, where two honest deployments need not differ."""

from typing import Final

SHORTEST_ACCESS_TOKEN: Final = 30
LONGEST_ACCESS_TOKEN: Final = 3600
LEEWAY: Final = 60  # the most that any verifier allows a clock to be off
JWKS_MAX_AGE: Final = 300  # how long a verifier may keep the key set
FEED_LEASE: Final = 3600  # how long a follower keeps the feed's keys that it was given
DRAIN: Final = LONGEST_ACCESS_TOKEN + LEEWAY  # after this no token issued before is alive
CLOCKS_APART: Final = 600  # the most that the clocks of nodes, or of one over time, are apart
FACT_LIFE: Final = DRAIN + CLOCKS_APART  # after this no token that any clock had issued is alive
RETENTION: Final = DRAIN + JWKS_MAX_AGE  # a key stays published so long after it has signed last
