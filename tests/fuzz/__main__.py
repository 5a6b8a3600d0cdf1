"""Fuzz one parser with atheris until it is stopped: `python -m tests.fuzz TARGET [libFuzzer …]`."""

import sys
from importlib import import_module

from tests.fuzz.targets import SEEDS, TARGETS, read


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        print(f"usage: python -m tests.fuzz {{{','.join(TARGETS)}}} [libFuzzer arguments]")
        return 2
    try:
        atheris = import_module("atheris")
    except ImportError:
        print("atheris is not installed; the suite runs the same targets with hypothesis")
        return 3
    name = sys.argv.pop(1)
    for seed in SEEDS[name]:
        read(TARGETS[name], seed)
    atheris.Setup(sys.argv, lambda data: read(TARGETS[name], data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
