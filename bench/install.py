"""The peers, as their registries publish them and at locked versions, in .cache/bench."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.machine import ROOT, BenchBroken

HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "bench"
PYTHON = CACHE / "python" / "bin" / "python"
NODE = CACHE / "node"


def install_python_peers() -> Path:
    """A virtual environment with bench/requirements.txt; returns its interpreter."""
    lock = HERE / "requirements.txt"
    if _current(CACHE / "python", [lock], sys.version):
        return PYTHON
    _say("installing the Python peers")
    shutil.rmtree(CACHE / "python", ignore_errors=True)
    _run([sys.executable, "-m", "venv", CACHE / "python"])
    _run([PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check",
          "--require-hashes", "-r", lock])  # fmt: skip
    _mark(CACHE / "python", [lock], sys.version)
    return PYTHON


def install_node_peers() -> Path:
    """node_modules from bench/peer/package-lock.json; returns the folder the scripts run in."""
    locks = [HERE / "peer" / "package.json", HERE / "peer" / "package-lock.json"]
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise BenchBroken(f"{program} is missing (`./run bench` installs it on Debian)")
    if not _current(NODE, locks):
        _say("installing the Node peers")
        shutil.rmtree(NODE, ignore_errors=True)
        NODE.mkdir(parents=True)
        for lock in locks:
            shutil.copy(lock, NODE)
        _run(["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], NODE)
        _mark(NODE, locks)
    for script in (HERE / "peer").glob("*.mjs"):  # modules are found from the script's folder
        shutil.copy(script, NODE)
    return NODE


def node_versions() -> dict[str, str]:
    import json

    names = ("oidc-provider", "fast-jwt", "jose")
    packages = {name: NODE / "node_modules" / name / "package.json" for name in names}
    return {name: json.loads(path.read_text())["version"] for name, path in packages.items()}


def _digest(files: Iterable[Path], extra: str) -> str:
    total = hashlib.sha256(extra.encode())
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def _current(folder: Path, files: Sequence[Path], extra: str = "") -> bool:
    stamp = folder / ".installed"
    return stamp.exists() and stamp.read_text() == _digest(files, extra)


def _mark(folder: Path, files: Sequence[Path], extra: str = "") -> None:
    (folder / ".installed").write_text(_digest(files, extra))


def _run(command: Sequence[str | Path], folder: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchBroken(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
