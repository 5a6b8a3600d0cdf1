import base64
import json
import traceback
from typing import Any

import pytest

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken, JoseError, JoseMisuse, Reason, UnknownKey
from dojang.jose.jws import MAX_KNOWN_HEADERS, CompactSigner, CompactVerifier
from dojang.jose.keys import ALGORITHMS, KeySet, SigningKey
from tests.jose.material import (
    ASYMMETRIC,
    CLAIMS,
    SYMMETRIC,
    compact,
    craft,
    header_of,
    key_for,
    key_set,
    sign_parts,
    token_of,
    write,
)

KEY = key_for("ES256")
VERIFIER = compact(KEY)
PAYLOAD = write(CLAIMS)


def refuse(token: str, verifier: CompactVerifier = VERIFIER) -> Reason:
    with pytest.raises(InvalidToken) as refusal:
        verifier.verify(token)
    return refusal.value.reason


def refuse_header(**members: Any) -> Reason:
    return refuse(craft(KEY, header_of(KEY, **members), PAYLOAD))


@pytest.mark.proves("K1")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_signs_and_verifies(algorithm: str) -> None:
    key = key_for(algorithm)
    token = CompactSigner(key, typ="at+jwt", extra={"cty": "x"}).sign(PAYLOAD)
    signed = compact(key).verify(token)
    assert signed.payload == PAYLOAD
    assert signed.kid == "k1"
    assert signed.header == {"alg": algorithm, "kid": "k1", "typ": "at+jwt", "cty": "x"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_or_another_payload_does_not_verify(algorithm: str) -> None:
    token = token_of(key_for(algorithm))
    header, payload, signature = token.split(".")
    other = key_for(algorithm, "k2")
    assert refuse(token_of(other, kid="k1"), compact(key_for(algorithm))) is Reason.BAD_SIGNATURE
    forged = f"{header}.{base64url.encode(PAYLOAD[:-1] + b' }')}.{signature}"
    assert refuse(forged, compact(key_for(algorithm))) is Reason.BAD_SIGNATURE
    assert refuse(f"{header}.{payload}.", compact(key_for(algorithm))) is Reason.BAD_SIGNATURE
    assert compact(key_for(algorithm)).verify(token)


@pytest.mark.proves("C1")
@pytest.mark.parametrize(
    "alg", ["es256", "ES256 ", "ES384", "RS256", "HS256", "", None, 7, ["ES256"]]
)
def test_an_algorithm_off_the_list_is_refused_before_a_key_is_looked_up(alg: object) -> None:
    assert refuse_header(alg=alg, kid="nobody") is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.proves("C1")
def test_the_list_decides_not_the_key() -> None:
    keys = [key_for("RS256"), key_for("PS256")]
    narrow = CompactVerifier(key_set(keys[0]), algorithms=["PS256"], types=["at+jwt"])
    assert refuse(token_of(keys[0]), narrow) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.proves("C2")
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
@pytest.mark.parametrize("kid", ["k1", "nobody"])
def test_none_is_impossible(alg: str, signature: str, kid: str) -> None:
    header = write(header_of(KEY, alg=alg, kid=kid))
    segments = [base64url.encode(part) for part in (header, PAYLOAD)]
    assert refuse(".".join((*segments, signature))) is Reason.ALGORITHM_NOT_ALLOWED
    with pytest.raises(JoseMisuse):
        CompactVerifier(key_set(KEY), algorithms=[alg], types=["at+jwt"])
    with pytest.raises(JoseMisuse):
        SigningKey.generate(alg)


@pytest.mark.proves("C4", "K1")
@pytest.mark.parametrize("secret", SYMMETRIC)
def test_a_public_key_is_no_secret_and_a_secret_no_public_key(secret: str) -> None:
    asymmetric, symmetric = key_for("RS256"), key_for(secret)
    with pytest.raises(JoseMisuse):
        CompactVerifier(key_set(asymmetric), algorithms=[secret], types=["at+jwt"])
    with pytest.raises(JoseMisuse):
        CompactVerifier(key_set(symmetric), algorithms=["RS256"], types=["at+jwt"])
    with pytest.raises(JoseMisuse):
        CompactVerifier(key_set(symmetric), algorithms=["RS256", secret], types=["at+jwt"])
    with pytest.raises(JoseMisuse):
        key_set(asymmetric, symmetric)


@pytest.mark.proves("C5")
@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"])
def test_key_material_in_the_header_chooses_nothing(member: str) -> None:
    attacker = key_for("ES256", "attacker")
    value = {"jwk": attacker.public_jwk(), "x5c": [base64.b64encode(b"der").decode()]}
    extra: dict[str, Any] = {member: value.get(member, "https://attacker.example/keys")}
    token = craft(attacker, header_of(KEY, **extra), PAYLOAD)
    assert refuse(token) is Reason.BAD_SIGNATURE
    nameless = header_of(attacker, **extra)
    del nameless["kid"]
    assert refuse(craft(attacker, nameless, PAYLOAD)) is Reason.BAD_SIGNATURE
    assert VERIFIER.verify(token_of(KEY, **extra)).kid == KEY.kid


@pytest.mark.proves("C6")
@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": True},
        {"crit": []},
        {"crit": ["alg"]},
        {"crit": "exp"},
        {"crit": None},
        {"b64": False},
    ],
)
def test_critical_headers_are_refused(members: dict[str, Any]) -> None:
    assert refuse_header(**members) is Reason.UNSUPPORTED_CRITICAL_HEADER


@pytest.mark.proves("C7")
@pytest.mark.parametrize(
    "character", ["=", "+", "/", " ", "\n", "\t", "{", "é", "\0", "\udc80", "?"]
)
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_a_character_outside_the_alphabet_refuses_the_token(character: str, segment: int) -> None:
    segments = token_of(KEY).split(".")
    segments[segment] += character
    assert refuse(".".join(segments)) is Reason.MALFORMED
    segments[segment] = character + segments[segment][:-1]
    assert refuse(".".join(segments)) is Reason.MALFORMED


@pytest.mark.proves("C7")
@pytest.mark.parametrize("segment", [0, 1])
def test_padding_is_refused_even_when_it_is_signed(segment: int) -> None:
    segments = [base64url.encode(part) for part in (unaligned(write(header_of(KEY))), b"1")]
    segments[segment] += "=" * (-len(segments[segment]) % 4)
    assert refuse(sign_parts(KEY, *segments)) is Reason.MALFORMED


@pytest.mark.proves("C8")
def test_exactly_three_segments() -> None:
    header, payload = (base64url.encode(part) for part in (write(header_of(KEY)), PAYLOAD))
    assert refuse("") is Reason.MALFORMED
    assert refuse(header) is Reason.MALFORMED
    assert refuse(sign_parts(KEY, header)) is Reason.MALFORMED
    assert refuse(sign_parts(KEY, header, payload, payload)) is Reason.MALFORMED
    assert refuse(sign_parts(KEY, header, payload, payload, payload)) is Reason.MALFORMED
    assert refuse(sign_parts(KEY, header, payload) + ".") is Reason.MALFORMED
    assert refuse("." + sign_parts(KEY, header, payload)) is Reason.MALFORMED
    assert VERIFIER.verify(sign_parts(KEY, header, payload))


@pytest.mark.proves("C8")
def test_json_serialisation_is_no_token() -> None:
    header, payload, signature = token_of(KEY).split(".")
    flat = {"protected": header, "payload": payload, "signature": signature}
    assert refuse(json.dumps(flat)) is Reason.MALFORMED


@pytest.mark.proves("C9")
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_unused_bits_refuse_the_token_even_when_they_are_signed(segment: int) -> None:
    segments = [base64url.encode(part) for part in (unaligned(write(header_of(KEY))), b"1")]
    if segment < 2:
        segments[segment] = next_letter(segments[segment])
    token = sign_parts(KEY, *segments)
    assert refuse(token if segment < 2 else next_letter(token)) is Reason.MALFORMED


def unaligned(document: bytes) -> bytes:
    """The same JSON in a length whose base64url has unused bits."""
    return document if len(document) % 3 else document + b" "


def next_letter(text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


@pytest.mark.proves("C10", "C11")
@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"ES256","kid":"k1","typ":"at+jwt","alg":"ES256"}',
        b'{"alg":"none","alg":"ES256","kid":"k1","typ":"at+jwt"}',
        b'{"alg":"ES256","kid":"k1","typ":"at+jwt","x":{"a":1,"a":1}}',
        b'["ES256"]',
        b"",
        b"null",
        b'{"alg":"ES256","kid":"k1","typ":"at+jwt","x":NaN}',
        b'{"alg":"ES256","kid":"k1","typ":"at+jwt","x":[[[[[[[[[1]]]]]]]]]}',
        b'{"alg":"ES256","kid":"k1","typ":"at+jwt","x":"\xff"}',
    ],
)
def test_the_header_is_a_strict_json_object(header: bytes) -> None:
    assert refuse(craft(KEY, header, PAYLOAD)) is Reason.MALFORMED


@pytest.mark.proves("C11")
def test_a_token_is_at_most_8192_characters() -> None:
    size = 8192 - len(token_of(KEY, b""))
    longest = token_of(KEY, b"x" * (size * 3 // 4))
    assert 8188 <= len(longest) <= 8192
    assert VERIFIER.verify(longest)
    assert refuse(token_of(KEY, b"x" * (size * 3 // 4 + 4))) is Reason.TOO_LARGE


@pytest.mark.proves("C15")
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_expected_type_in_any_of_its_spellings(typ: str) -> None:
    assert VERIFIER.verify(token_of(KEY, typ=typ))
    assert compact(KEY, types=[typ]).verify(token_of(KEY))


@pytest.mark.proves("C15")
@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "id+jwt", "dpop+jwt", "", "at+jwt ", "text/at+jwt", "application/"]
)
def test_another_type_is_refused(typ: str) -> None:
    assert refuse_header(typ=typ) is Reason.TYPE_NOT_ALLOWED


@pytest.mark.proves("C15")
@pytest.mark.parametrize("typ", [None, 1, ["at+jwt"], True])
def test_a_type_is_a_string(typ: object) -> None:
    assert refuse_header(typ=typ) is Reason.MALFORMED


@pytest.mark.proves("C15")
def test_a_missing_type_is_accepted_only_when_expected() -> None:
    untyped = CompactSigner(KEY, typ=None).sign(PAYLOAD)
    assert refuse(untyped) is Reason.TYPE_NOT_ALLOWED
    assert compact(KEY, types=[None]).verify(untyped)
    assert refuse(token_of(KEY), compact(KEY, types=[None])) is Reason.TYPE_NOT_ALLOWED


@pytest.mark.proves("C17")
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_ecdsa_signatures_have_the_exact_length(algorithm: str) -> None:
    key = key_for(algorithm)
    width = {"ES256": 32, "ES384": 48, "ES512": 66}[algorithm]
    signing_input = token_of(key).rpartition(".")[0]
    signature = key.sign(signing_input.encode())
    while signature[width] != 0:
        signature = key.sign(signing_input.encode())
    r, s = signature[:width], signature[width:]
    verifier = compact(key)
    assert verifier.verify(f"{signing_input}.{base64url.encode(r + s)}")
    for odd in (r + s[1:], r + b"\0" + s, b"\0" + r + s, r + s + b"\0", r[1:] + s[1:], r, b""):
        token = f"{signing_input}.{base64url.encode(odd)}"
        assert refuse(token, verifier) is Reason.BAD_SIGNATURE


@pytest.mark.proves("C17")
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_ecdsa_numbers_are_in_range(algorithm: str) -> None:
    width, order = {
        "ES256": (32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
        "ES384": (48, 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D),
        "ES512": (66, 2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7),
    }[algorithm]
    key = key_for(algorithm)
    signing_input = token_of(key).rpartition(".")[0]
    edges = (0, 1, order - 1, order, order + 1, 256**width - 1)
    for r in edges:
        for s in edges:
            signature = r.to_bytes(width, "big") + s.to_bytes(width, "big")
            token = f"{signing_input}.{base64url.encode(signature)}"
            assert refuse(token, compact(key)) is Reason.BAD_SIGNATURE


@pytest.mark.proves("C20")
@pytest.mark.parametrize("kid", ["", "x" * 129, 1, None, ["k1"], {"k": 1}, True])
def test_a_kid_is_a_short_string(kid: object) -> None:
    assert refuse_header(kid=kid) is Reason.MALFORMED


@pytest.mark.proves("C20")
@pytest.mark.parametrize(
    "kid", ["K1", "k1 ", " k1", "k", "../k1", "k1' OR '1'='1", "https://attacker.example", "k1\0"]
)
def test_a_kid_is_compared_exactly(kid: str) -> None:
    with pytest.raises(UnknownKey):
        VERIFIER.verify(token_of(KEY, kid=kid))


@pytest.mark.proves("C20")
def test_a_kid_of_128_characters_is_a_kid() -> None:
    key = key_for("ES256", "k" * 128)
    assert compact(key).verify(token_of(key)).kid == "k" * 128


@pytest.mark.proves("K2")
def test_a_kid_is_needed_once_several_keys_fit() -> None:
    other = key_for("ES256", "k2")
    nameless = header_of(KEY)
    del nameless["kid"]
    token = craft(KEY, nameless, PAYLOAD)
    assert VERIFIER.verify(token).kid == "k1"
    assert compact(KEY, key_for("RS256")).verify(token).kid == "k1"
    assert refuse(token, compact(KEY, other)) is Reason.AMBIGUOUS_KEY
    assert compact(KEY, other).verify(token_of(other)).kid == "k2"


@pytest.mark.proves("C3")
@pytest.mark.parametrize("algorithm", [name for name in ASYMMETRIC if name != "ES256"])
def test_a_named_key_serves_only_its_own_algorithm(algorithm: str) -> None:
    other = key_for(algorithm, "k2")
    verifier = compact(KEY, other)
    assert refuse(token_of(other, kid="k1"), verifier) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("kid", ["k1", "nobody"])
def test_an_unknown_key_is_its_own_error(kid: str) -> None:
    empty = CompactVerifier(KeySet([]), algorithms=["ES256"], types=["at+jwt"])
    with pytest.raises(UnknownKey):
        empty.verify(token_of(KEY, kid=kid))


@pytest.mark.proves("C22")
@pytest.mark.parametrize("damage", range(9))
def test_no_error_holds_the_token(damage: int) -> None:
    secret = "canary-4711"
    claims = CLAIMS | {"secret": secret}
    header, payload, signature = token_of(KEY, claims, note=secret).split(".")
    token = [
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}é.{signature}",
        f"{header}.{payload}=.{signature}",
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}" * 20,
        token_of(KEY, claims, kid=secret),
        token_of(KEY, claims, typ=secret),
        token_of(KEY, claims, alg=secret),
        craft(KEY, b'{"note":"' + secret.encode() + b'"', write(claims)),
    ][damage]
    with pytest.raises(JoseError) as refusal:
        VERIFIER.verify(token)
    shown = "".join(traceback.format_exception(refusal.value, chain=True))
    shown += repr(refusal.value) + repr(refusal.value.__dict__)
    error: BaseException | None = refusal.value
    while error is not None:
        shown += repr(error.args) + repr(vars(error))
        error = error.__cause__ or error.__context__
    for part in (secret, payload, signature[:20]):
        assert part not in shown


def test_headers_are_remembered_only_under_a_good_signature() -> None:
    verifier = compact(KEY)
    for number in range(50):
        header, payload, signature = token_of(KEY, n=number).split(".")
        assert refuse(f"{header}.{payload}.{signature[:-4]}AAAA", verifier) is Reason.BAD_SIGNATURE
    assert not verifier._known
    for number in range(2 * MAX_KNOWN_HEADERS + 1):
        verifier.verify(token_of(KEY, n=number))
        assert len(verifier._known) <= MAX_KNOWN_HEADERS
    assert verifier.verify(token_of(KEY, n=0)).header["n"] == 0


def test_a_remembered_header_cannot_be_changed() -> None:
    header: Any = VERIFIER.verify(token_of(KEY)).header
    with pytest.raises(TypeError):
        header["alg"] = "none"


@pytest.mark.proves("C119")
@pytest.mark.parametrize(
    "lists",
    [
        {"algorithms": [], "types": ["at+jwt"]},
        {"algorithms": "ES256", "types": ["at+jwt"]},
        {"algorithms": ["ES999"], "types": ["at+jwt"]},
        {"algorithms": ["ES256"], "types": []},
        {"algorithms": ["ES256"], "types": [""]},
        {"algorithms": ["ES256"], "types": "at+jwt"},
    ],
)
def test_no_verifier_without_expectations(lists: dict[str, Any]) -> None:
    with pytest.raises(JoseMisuse):
        CompactVerifier(key_set(KEY), **lists)


@pytest.mark.parametrize("member", ["alg", "kid", "typ", "crit", "b64"])
def test_extra_header_members_replace_nothing(member: str) -> None:
    with pytest.raises(JoseMisuse):
        CompactSigner(KEY, typ="at+jwt", extra={member: "x"})
