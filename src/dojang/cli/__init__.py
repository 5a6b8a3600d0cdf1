"""The command line: `dojang`."""
