"""`dojang config`: what is set, where, and whether it can be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dojang.cli.config_loading import (
    ConfigRefused,
    LoadedConfig,
    Problem,
    Value,
    find_config_file,
    load_config,
)
from dojang.cli.errors import Exit
from dojang.cli.options import ConfigOption, JsonOption, make_group
from dojang.cli.output import show_json, show_table

app = make_group("The configuration: what is set, where, and whether it can be used.")

_HIDDEN = "(hidden)"


@app.command("show", epilog="Example: dojang config show --json")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show every setting and where it comes from. Secrets stay hidden."""
    loaded = load_config(find_config_file(config, os.environ), environ=os.environ, secrets=())
    rows = [(value.setting.name, _show(value), value.origin) for value in loaded.values]
    if as_json:
        settings = [dict(zip(("name", "value", "origin"), row, strict=True)) for row in rows]
        show_json({"file": str(loaded.path) if loaded.path else None, "settings": settings})
    else:
        show_table(("SETTING", "VALUE", "FROM"), rows)


@app.command("check", epilog="Example: dojang config check --config /etc/dojang/dojang.toml")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Check everything, secret files included.

    Exit code 1 where something is wrong.
    """
    path = find_config_file(config, os.environ)
    problems: tuple[Problem, ...]
    try:
        problems = _find_open_secrets(load_config(path, environ=os.environ))
    except ConfigRefused as refused:
        problems = refused.problems
    if as_json:
        found = [{"where": problem.where, "what": problem.what} for problem in problems]
        show_json({"file": str(path) if path else None, "ok": not problems, "problems": found})
    elif problems:
        for problem in problems:
            print(problem)
    else:
        print(f"{path or 'The environment'}: no problem found.")
    return Exit.FINDINGS if problems else Exit.OK


def _show(value: Value) -> object:
    if value.setting.name == "storage.url" and value.value is not None:
        return _hide_password(value.value)
    if value.setting.is_secret:
        return _HIDDEN if value.value or value.origin != "default" else "(not set)"
    return list(value.value) if isinstance(value.value, tuple) else value.value


def _hide_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    before, at, host = rest.rpartition("@")
    if at:
        return f"{scheme}{separator}{before.partition(':')[0]}:…@{host.partition('?')[0]}"
    return url.partition("?")[0]


def _find_open_secrets(loaded: LoadedConfig) -> tuple[Problem, ...]:
    """Secret files of ours that others on this machine may read."""
    found = []
    for value in loaded.values:
        if value.file is None:
            continue
        status = Path(value.file).stat()
        if status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
            what = f"others may read {value.setting.name}: chmod 600 {value.file}"
            found.append(Problem(str(value.file), what))
    return tuple(found)
