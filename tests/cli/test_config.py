"""The configuration: which source counts, and what is said of a mistake."""

import os
from pathlib import Path

import pytest

from dojang.app import build_schedule
from dojang.cli.config_loading import ConfigRefused, find_config_file, load_config
from dojang.cli.errors import Failure
from dojang.jose import base64url
from dojang.server.key_plans import Schedule
from tests.cli.installation import Installation, dojang

KEY = base64url.encode(bytes(range(32)))
OTHER_KEY = base64url.encode(bytes(32))
ISSUER = {"DOJANG_ISSUER": "https://auth.example"}


def refuse(path: Path | None, **environ: str) -> str:
    with pytest.raises(ConfigRefused) as refused:
        load_config(path, environ={**ISSUER, **environ})
    return refused.value.message


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "dojang.toml"


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(
    toml: Path,
) -> None:
    toml.write_text('issuer = "https://file.example"\n[listen]\npublic = "127.0.0.1:1"\n')
    environ = {"DOJANG_LISTEN__PUBLIC": "127.0.0.1:2"}
    flags = {"listen.public": "127.0.0.1:3"}
    assert load_config(toml, environ={}).config.listen.public == "127.0.0.1:1"
    assert load_config(toml, environ=environ).config.listen.public == "127.0.0.1:2"
    flagged = load_config(toml, environ=environ, flags=flags)
    assert flagged.config.listen.public == "127.0.0.1:3"
    assert flagged.config.listen.management == "127.0.0.1:8461"
    origins = {each.setting.name: each.origin for each in flagged.values}
    assert origins["listen.public"] == "flag --public"
    assert origins["listen.management"] == "default"
    assert origins["issuer"] == str(toml)


def test_a_secret_in_the_environment_goes_before_its_files(toml: Path) -> None:
    (toml.parent / "first").write_text(f"{KEY}\n")
    (toml.parent / "second").write_text(OTHER_KEY)
    toml.write_text('[keys]\nencryption_key_file = "first"\n')

    def find(**environ: str) -> str:
        return load_config(toml, environ={**ISSUER, **environ}).config.keys.encryption_key

    second = str(toml.parent / "second")
    assert find() == KEY
    assert find(DOJANG_KEYS__ENCRYPTION_KEY_FILE=second) == OTHER_KEY
    assert find(DOJANG_KEYS__ENCRYPTION_KEY_FILE=second, DOJANG_KEYS__ENCRYPTION_KEY=KEY) == KEY


@pytest.mark.parametrize(
    "text, said",
    [
        ('isuer = "x"', "isuer: no such setting; did you mean issuer?"),
        ("[listen]\npubic = 1", "listen.pubic: no such setting; did you mean listen.public?"),
        ("zebra = 1", "zebra: no such setting; take it out"),
        (f'[keys]\nencryption_key = "{KEY}"', "name it: keys.encryption_key_file"),
        ('[operator]\nclient_secret = "x"', "name it: operator.client_secret_file"),
        ('[listen]\npublic = "localhost"', "listen.public: write host:port"),
        ('[listen]\npublic = "[::1]:0"', "listen.public: write host:port"),
        ("[listen]\npublic = 8460", "listen.public: Expected `str`"),
        ('[log]\nlevel = "loud"', "log.level: must be one of debug, info, warning, error"),
        ("[keys]\nrotate_after = 0", "keys.rotate_after: must be 86400 (a day)"),
        ("[keys]\nrotate_after = 0", "keys.automatic_rotation = false"),
        ("[keys]\nhold_limit = 5", "keys.hold_limit: must be 60 to 604800 seconds"),
        ('[keys]\nautomatic_rotation = "no"', "keys.automatic_rotation: Expected `bool`"),
        ('trusted_proxies = ["proxy"]', "trusted_proxies: a proxy is an address"),
        ('trusted_proxies = "10.0.0.1"', "trusted_proxies: Expected `array`"),
        ('[storage]\nurl = "mysql://x/y"', "storage.url"),
        ("[keys]\nencryption_key_file = 1", "write the path of a file"),
        ('[keys]\nencryption_key_file = "gone"', "gone: keys.encryption_key cannot be read"),
        ("issuer", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_says_where_and_what_to_do(toml: Path, text: str, said: str) -> None:
    toml.write_text(text)
    message = refuse(toml)
    assert said in message
    assert str(toml.parent) in message
    assert KEY not in message


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("DOJANG_LISTEN_PUBLIC", "x", "did you mean DOJANG_LISTEN__PUBLIC?"),
        ("DOJANG_LISTEN__PUBIC", "x", "did you mean DOJANG_LISTEN__PUBLIC?"),
        ("DOJANG_ZEBRA__STRIPES", "x", "DOJANG_ZEBRA__STRIPES: no such setting"),
        ("DOJANG_ISSUER", "", "environment DOJANG_ISSUER: issuer: not set"),
        ("DOJANG_ISSUER", "http://auth.example", "must be https"),
        ("DOJANG_KEYS__ENCRYPTION_KEY", "c2hvcnQ", "not the base64url of 32 bytes"),
        ("DOJANG_LOG__FORMAT", "xml", "must be one of auto, json, text"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(name: str, value: str, said: str) -> None:
    message = refuse(None, **{name: value})
    assert said in message
    assert name in message


def test_every_mistake_is_told_at_once(toml: Path) -> None:
    toml.write_text('isuer = "x"\n[listen]\npublic = "x"\nmanagement = "y"\n')
    assert len(refuse(toml).splitlines()) == 3


def test_variables_of_other_programs_are_left_alone() -> None:
    assert load_config(None, environ={**ISSUER, "DOJANG_VECTORS": "x"}).config.issuer


@pytest.mark.proves("K3")
def test_keys_rotate_unless_it_is_said_that_they_do_not() -> None:
    def find(**environ: str) -> Schedule:
        return build_schedule(load_config(None, environ={**ISSUER, **environ}).config.keys)

    assert find() == Schedule(rotate_after=90 * 86_400, hold_limit=3600)
    set_apart = find(DOJANG_KEYS__ROTATE_AFTER="86400", DOJANG_KEYS__HOLD_LIMIT="60")
    assert set_apart == Schedule(rotate_after=86_400, hold_limit=60)
    assert find(DOJANG_KEYS__AUTOMATIC_ROTATION="false").rotate_after is None


@pytest.mark.proves("C111")
def test_no_proxy_is_trusted_unless_named() -> None:
    assert load_config(None, environ=ISSUER).config.trusted_proxies == ()
    named = {**ISSUER, "DOJANG_TRUSTED_PROXIES": "10.0.0.1, 10.1.0.0/16"}
    assert load_config(None, environ=named).config.trusted_proxies == ("10.0.0.1", "10.1.0.0/16")


@pytest.mark.proves("O2", "C117")
def test_secrets_are_not_in_the_repr_of_a_configuration() -> None:
    environ = {
        **ISSUER,
        "DOJANG_KEYS__ENCRYPTION_KEY": KEY,
        "DOJANG_OPERATOR__CLIENT_SECRET": "dojang_cs_x",
        "DOJANG_STORAGE__URL": "postgresql://u:hunter2@db/x",
    }
    shown = repr(load_config(None, environ=environ).config)
    assert not any(secret in shown for secret in (KEY, "dojang_cs_x", "hunter2"))


def test_relative_paths_in_the_file_begin_beside_it(toml: Path) -> None:
    toml.write_text('issuer = "https://auth.example"\n')
    expected = (toml.parent / "dojang.db").as_uri().replace("file:", "sqlite:")
    assert load_config(toml, environ={}).config.storage.url == expected


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="--config: there is no file"):
        find_config_file(tmp_path / "gone.toml", {})
    with pytest.raises(Failure, match="DOJANG_CONFIG: there is no file"):
        find_config_file(None, {"DOJANG_CONFIG": str(tmp_path / "gone.toml")})


@pytest.mark.proves("O2")
def test_show_tells_where_a_value_comes_from_and_hides_secrets(fresh: Installation) -> None:
    environ = {
        "DOJANG_LOG__LEVEL": "debug",
        "DOJANG_STORAGE__URL": "postgresql://dojang:hunter2@db.example/dojang?password=hunter3",
    }
    done = fresh.run("config", "show", "--json", env=environ)
    settings = {each["name"]: each for each in done.json()["settings"]}
    assert settings["log.level"]["origin"] == "environment DOJANG_LOG__LEVEL"
    assert settings["issuer"] == {
        "name": "issuer",
        "value": fresh.issuer,
        "origin": "dojang.toml",
    }
    assert settings["keys.encryption_key"]["value"] == "(hidden)"
    assert "hunter" not in done.out
    assert "db.example" in settings["storage.url"]["value"]
    key = (fresh.directory / "key-encryption.key").read_text().strip()
    words = fresh.run("config", "show", env=environ).out
    assert key not in done.out + words
    assert "hunter" not in words


def test_check_finds_a_secret_that_others_may_read(fresh: Installation) -> None:
    assert fresh.run("config", "check", "--json").json()["ok"] is True
    (fresh.directory / "operator.secret").chmod(0o644)
    done = fresh.run("config", "check", "--json")
    assert done.code == 1
    assert "chmod 600" in done.json()["problems"][0]["what"]


def test_check_says_what_serve_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "dojang.toml").write_text('isuer = "https://auth.example"\n')
    checked = dojang("config", "check", cwd=tmp_path)
    assert checked.code == 1
    assert "did you mean issuer?" in checked.out
    served = dojang("serve", cwd=tmp_path)
    assert served.code == 2
    assert "did you mean issuer?" in served.err
    assert "Traceback" not in served.err


def test_flags_reach_the_server_either_way(fresh: Installation) -> None:
    for flags in (["--public", "x"], ["--public=x"], ["--public=x", "--management=y"]):
        done = fresh.run("serve", *flags)
        assert done.code == 2
        assert "flag --public: listen.public: write host:port" in done.err
    unknown = fresh.run("serve", "--pubic=x")
    assert unknown.code == 2
    assert "No such option" in unknown.err
    assert os.linesep in fresh.run("serve", "--help").out
