"""`dojang dev`: a provider in memory with a person and an application, to try things out."""
