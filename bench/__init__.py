"""How fast Dojang is beside what else there is: every figure is a ratio taken in one run."""
