"""The OpenID Foundation's conformance plans, module by module: each test sends what a module of the
suite sends, with the configuration that operators are told to use, and asks what it asks.

What is in the suite's own source was read and not copied; names of modules are the suite's.
"""
