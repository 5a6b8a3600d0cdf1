"""Guards for web frameworks. Each needs its framework, and nothing else of this package does."""
