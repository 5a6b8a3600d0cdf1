"""The configuration, put together. For each setting the first of these counts: a flag, the
environment (`DOJANG_SECTION__KEY`), a secret file (`…_FILE`), `dojang.toml`, the default.

What no setting bears the name of refuses to load. Secret files are read only where asked for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from dojang.cli.config_settings import SETTINGS, Setting, find_problem
from dojang.cli.errors import Exit, Failure
from dojang.server.config import SECRETS, Config
from dojang.storage.address import anchor_url

FILE_NAME: Final = "dojang.toml"
_BESIDES: Final = frozenset({"DOJANG_CONFIG", "DOJANG_CLIENT_SECRET", "DOJANG_CLIENT_SECRET_FILE"})
_LARGEST_SECRET: Final = 8192  # bytes
_NO_FILE: Final = (
    "there is none in this directory: go to the one that has it, name it with --config or "
    "DOJANG_CONFIG, or make an installation here with `dojang init`"
)


class Problem(NamedTuple):
    """What is wrong at one place, and what to do."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ConfigRefused(Failure):
    """The configuration cannot be used. All of its problems, not only the first."""

    def __init__(self, problems: Collection[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)), Exit.USAGE)
        self.problems = tuple(problems)


class Value(NamedTuple):
    """A setting's value and where it came from. `value` of an unread secret file is None."""

    setting: Setting
    value: Any
    origin: str
    file: Path | None = None


class LoadedConfig(NamedTuple):
    """A configuration that may be used, and the origin of each of its values."""

    config: Config
    values: tuple[Value, ...]
    path: Path | None


def find_config_file(flag: Path | None, environ: Mapping[str, str]) -> Path | None:
    """`--config`, else DOJANG_CONFIG, else ./dojang.toml where there is one.

    Raises `Failure` where the file that was named does not exist.
    """
    named = flag or (Path(text) if (text := environ.get("DOJANG_CONFIG")) else None)
    if named is None:
        found = Path(FILE_NAME)
        return found if found.is_file() else None
    if not named.is_file():
        source = "--config" if flag else "DOJANG_CONFIG"
        raise Failure(f"{source}: there is no file {named}; `dojang init` writes one")
    return named


def load_config(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
    secrets: Collection[str] = SECRETS,
) -> LoadedConfig:
    """The configuration. `flags` are by name of the setting; of the secrets only those named in
    `secrets` are read from their files.

    Raises `ConfigRefused`.
    """
    document, problems = _read_document(path)
    problems += _find_unknown_variables(environ)
    sources = _Sources(path, document, environ, flags or {}, secrets)
    values: list[Value] = []
    for setting in SETTINGS:
        try:
            values.append(sources.find(setting))
        except _Bad as bad:
            problems.append(bad.problem)
    values = _place_witness(values)
    problems += [
        Problem(_place(each.setting, each.origin), what)
        for each in values
        if each.value is not None and (what := find_problem(each.setting, each.value))
    ]
    if path is None and any(each.setting.name == "issuer" and not each.value for each in values):
        problems.insert(0, Problem(FILE_NAME, _NO_FILE))
    if problems:
        raise ConfigRefused(problems)
    return LoadedConfig(_build_config(values), tuple(values), path)


def _place_witness(values: list[Value]) -> list[Value]:
    """The head witness lies beside the key-encryption key, unless it is put elsewhere."""
    beside = next(
        (each.file for each in values if each.setting.name == "keys.encryption_key"), None
    )
    return [
        each._replace(value=f"{beside}.head", origin=f"default, beside {beside}")
        if each.setting.name == "keys.witness" and not each.value and beside is not None
        else each
        for each in values
    ]


class _Bad(Exception):
    def __init__(self, where: str, what: str) -> None:
        self.problem = Problem(where, what)


def _read_document(path: Path | None) -> tuple[dict[str, Any], list[Problem]]:
    if path is None:
        return {}, []
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigRefused([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigRefused([Problem(str(path), f"not TOML: {error}")]) from None
    document: dict[str, Any] = {}
    problems: list[Problem] = []
    known = {name for setting in SETTINGS for name in setting.toml_names}
    for name, value in _flatten(tables):
        secret = next((each for each in SETTINGS if each.name == name and each.is_file_only), None)
        if secret is not None:
            what = f"a secret is not written here; put it in a file and name it: {name}_file"
            problems.append(Problem(f"{path}: {name}", what))
        elif name not in known:
            problems.append(Problem(f"{path}: {name}", _describe_unknown(name, known)))
        else:
            document[name] = value
    return document, problems


def _flatten(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _describe_unknown(name: str, known: Collection[str], *, likeness: float = 0.6) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=1, cutoff=likeness)
    if not near:
        near = [each for each in sorted(known) if each.rpartition(".")[2] == name]
    return f"no such setting; did you mean {near[0]}?" if near else "no such setting; take it out"


def _find_unknown_variables(environ: Mapping[str, str]) -> list[Problem]:
    known = {name for setting in SETTINGS for name in setting.variables} | _BESIDES
    problems = []
    for name in sorted(environ):
        if name.startswith("DOJANG_") and name not in known:
            what = _describe_unknown(name, known, likeness=0.6 if "__" in name else 0.85)
            # Others may begin so too; one that looks like a setting is a slip of the pen.
            if "__" in name or "did you mean" in what:
                problems.append(Problem(f"environment: {name}", what))
    return problems


class _Sources(NamedTuple):
    path: Path | None
    document: Mapping[str, Any]
    environ: Mapping[str, str]
    flags: Mapping[str, str]
    secrets: Collection[str]

    def find(self, setting: Setting) -> Value:
        """The value that counts. Raises `_Bad`."""
        name, variable = setting.name, setting.variables[0]
        if name in self.flags:
            return self._parse(setting, self.flags[name], f"flag --{name.rpartition('.')[2]}")
        if variable in self.environ:
            return self._parse(setting, self.environ[variable], f"environment {variable}")
        if setting.is_secret:
            file_variable, file_name = setting.variables[1], setting.toml_names[-1]
            if file_variable in self.environ:
                file = Path(self.environ[file_variable])
                return self._read_secret(setting, file, f"environment {file_variable}")
            if file_name in self.document:
                named = self.document[file_name]
                if not isinstance(named, str):
                    raise _Bad(f"{self.path}: {file_name}", "write the path of a file, in quotes")
                file = self._anchor / named
                return self._read_secret(setting, file, f"{self.path} {file_name}")
        if name in self.document:
            found = self._convert(setting, self.document[name], str(self.path), strict=True)
        else:
            found = Value(setting, setting.default, "default")
        if name == "storage.url":
            return found._replace(value=anchor_url(found.value, self._anchor))
        if name == "keys.witness" and found.value:
            return found._replace(value=str(self._anchor / found.value))
        return found

    @property
    def _anchor(self) -> Path:
        return self.path.parent if self.path else Path()

    def _parse(self, setting: Setting, text: str, origin: str) -> Value:
        value: Any = text
        if setting.is_list:
            value = [part.strip() for part in text.split(",") if part.strip()]
        return self._convert(setting, value, origin, strict=False)

    def _convert(self, setting: Setting, value: Any, origin: str, *, strict: bool) -> Value:
        try:
            return Value(setting, msgspec.convert(value, setting.type, strict=strict), origin)
        except msgspec.ValidationError as error:
            what = "must be text" if setting.is_secret else str(error)
            if choices := setting.choices:
                what = f"must be one of {', '.join(choices)}"
            raise _Bad(_place(setting, origin), what) from None

    def _read_secret(self, setting: Setting, file: Path, origin: str) -> Value:
        origin = f"secret file {file} ({origin})"
        if setting.name not in self.secrets:
            return Value(setting, None, origin, file)
        try:
            with file.open("rb") as stream:
                text = stream.read(_LARGEST_SECRET + 1).decode().strip()
        except OSError as error:
            what = f"{setting.name} cannot be read: {error.strerror}; {setting.remedy}"
            raise _Bad(str(file), what) from None
        except UnicodeDecodeError:
            raise _Bad(str(file), f"{setting.name} is not text; {setting.remedy}") from None
        if not text or len(text) > _LARGEST_SECRET:
            raise _Bad(str(file), f"{setting.name} is empty or too long; {setting.remedy}")
        return Value(setting, text, origin, file)


def _place(setting: Setting, origin: str) -> str:
    return f"{origin}: {setting.name}" if origin != "default" else setting.name


def _build_config(values: list[Value]) -> Config:
    tree: dict[str, Any] = {}
    for each in values:
        if each.value is not None:
            section, _, key = each.setting.name.rpartition(".")
            (tree.setdefault(section, {}) if section else tree)[key] = each.value
    return msgspec.convert(tree, Config)
