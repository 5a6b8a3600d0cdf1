"""Software of others: from npm (package-lock.json here, installed by `./run`) and from Debian."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
NODE_MODULES: Final = HERE / "node_modules"
NODE: Final = Path(sys.executable).with_name("node")


class Refused(Exception):
    """The library of others did not take it; the text is its own words. `error` is what the server
    had said, if it had."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.error: str = error.get("error") or ""


class Script:
    """A script for Node that reads a job a line and answers each with a line."""

    def __init__(self, name: str) -> None:
        assert NODE_MODULES.is_dir(), "npm ci --prefix tests/interop, or ./run test"
        self._process = subprocess.Popen(
            [str(NODE), str(HERE / name)],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, job: str, /, **parameters: Any) -> Any:
        """The result of a job. Raises `Refused`."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"job": job, **parameters}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def close(self) -> None:
        self._process.communicate(timeout=60)
