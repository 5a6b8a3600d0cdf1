"""The rules an endpoint applies, each a short pure function that returns or refuses."""
