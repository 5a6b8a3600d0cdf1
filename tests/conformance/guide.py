"""What operators are told to run the suite with: its configuration, and the commands before it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

from tests.mutants import ROOT

GUIDE: Final = ROOT / "docs/how-to/run-the-conformance-suite.md"
CONFIGURATION: Final = ROOT / "docs/how-to/conformance-suite.json"
SERVER: Final = "https://auth.example"
SUITE: Final = "https://www.certification.openid.net/test/a/dojang"


def load_configuration(module: str, server: str, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The configuration as the suite reads it for a module, of the server at `server`."""
    text = CONFIGURATION.read_text().replace(SERVER, server)
    for client_id, secret in secrets.items():
        text = text.replace(f"what {client_id}.secret holds", secret)
    assert "what conformance" not in text
    configuration: dict[str, Any] = json.loads(text)
    overrides: dict[str, dict[str, Any]] = configuration.pop("override")
    return configuration | overrides.get(module, {})


def read_commands() -> list[list[str]]:
    """The commands of the guide that make the person and the clients, without `dojang`."""
    blocks = re.findall(r"^```console\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith("$ dojang ")]
