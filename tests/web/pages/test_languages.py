"""Korean and English, each whole."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import dojang.web.pages
from dojang.oauth.claims import SCOPES
from dojang.server.discovery import build_server_metadata
from dojang.web.pages.account import NOTICES
from dojang.web.pages.languages import LANGUAGES, Speaker, choose_language, load_texts
from tests.web.pages.house import House
from tests.web.pages.visitor import Visitor

HERE = Path(dojang.web.pages.__file__ or "").parent


def find_places(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def find_used() -> set[str]:
    """Names of texts that templates ask for, as far as they are written out."""
    text = "".join(each.read_text() for each in sorted((HERE / "templates").iterdir()))
    used = set(re.findall(r'\bt\("(\w+\.\w+)"', text))
    used |= {f"scope.{scope}" for scope in SCOPES}
    used |= {f"notice.{notice}" for notice in NOTICES}
    code = "".join(each.read_text() for each in HERE.glob("*.py"))
    kinds = set(re.findall(r'draw_error\(\s*language,\s*"(\w+)"', code)) | {"request"}
    kinds |= set(re.findall(r'^    "\w+": "(\w+)",$', code, re.MULTILINE))
    used |= {f"error.{kind}_{part}" for kind in kinds for part in ("title", "advice")}
    used |= {f"account.{name}" for name in re.findall(r'problem="(\w+)"', code)}
    return used


def test_both_languages_have_the_same_texts_with_the_same_places() -> None:
    english, korean = (load_texts(language) for language in ("en", "ko"))
    assert english.keys() == korean.keys()
    for name, text in english.items():
        assert find_places(text) == find_places(korean[name]), name
        assert text.strip() == text != "", name


def test_every_text_is_used_and_every_one_used_is_there() -> None:
    assert find_used() == set(load_texts("en"))


def test_there_is_a_text_file_for_every_language() -> None:
    assert {file.stem for file in (HERE / "locale").iterdir()} == set(LANGUAGES)


def test_the_metadata_names_them_and_the_logout_endpoint() -> None:
    document = build_server_metadata("https://login.example", registers=False)
    assert document["ui_locales_supported"] == list(LANGUAGES)
    assert document["end_session_endpoint"] == "https://login.example/logout"


def test_what_is_put_into_a_text_is_escaped() -> None:
    said = Speaker("en")("sign_in.to_continue", client="<b>{x}</b>")
    assert said == "to continue to &lt;b&gt;{x}&lt;/b&gt;"


@pytest.mark.parametrize(
    "wished, accepted, language",
    [
        ((), b"", "en"),
        ((), b"ko", "ko"),
        ((), b"ko-KR", "ko"),
        ((), b"KO-kr;q=0.5, en;q=0.4", "ko"),
        ((), b"en;q=0.4, ko;q=0.5", "ko"),
        ((), b"fr, de;q=0.9, ko;q=0.1", "ko"),
        ((), b"ko;q=0, en", "en"),
        ((), b"ko;q=x, en;q=0.1", "en"),
        ((), b"ko;q=nan", "en"),
        ((), b"kok", "en"),
        ((), b"\xff, ;;;,,=q", "en"),
        ((), b",".join([b"fr"] * 1000) + b",ko", "en"),
        (("ko",), b"en", "ko"),
        (("fr", "ko-KR"), b"en", "ko"),
        (("en",), b"ko", "en"),
        (("<script>",), b"ko", "ko"),
    ],
)
def test_the_language_of_a_page(wished: tuple[str, ...], accepted: bytes, language: str) -> None:
    assert choose_language(wished, accepted) == language


@pytest.mark.proves("A4")
def test_a_page_is_in_the_language_that_is_wished(house: House) -> None:
    page = house.arrive(ui_locales="fr-CA ko")
    assert page.list_tags("html") == [{"lang": "ko"}]
    assert "로그인" in page.text
    korean = Visitor(house.issuer, (b"accept-language", b"ko"))
    assert "로그인" in korean.open("/account").text
    assert house.arrive(korean, ui_locales="en").list_tags("html") == [{"lang": "en"}]
    consent = house.enter(house.arrive(korean), visitor=korean)
    assert "허용" in consent.text
    assert "이메일 주소 보기" in consent.text
