"""The revocation plane as a model that spin searches, and the runs that are made of it."""
