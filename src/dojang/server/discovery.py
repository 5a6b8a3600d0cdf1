"""What the server says of itself (RFC 8414 §2). Only what it does stands in it."""

from __future__ import annotations

from dojang.oauth.authorization import CODE, Prompt
from dojang.oauth.claims import SCOPES, STANDARD
from dojang.oauth.client_assertion import ALGORITHMS
from dojang.oauth.id_token import ALGORITHMS as ID_TOKEN_ALGORITHMS
from dojang.oauth.id_token import CONTENT_ENCRYPTION, KEY_ENCRYPTION
from dojang.oauth.metadata import ServerMetadata, build_metadata
from dojang.oauth.pkce import METHOD
from dojang.oauth.redirects import ResponseMode
from dojang.oauth.request_object import ALGORITHMS as REQUEST_OBJECT_ALGORITHMS
from dojang.server.checks.next_step import PASSWORD_ACR
from dojang.server.grant_types import ANEW, STANDING
from dojang.server.model import AuthenticationMethod, SubjectType
from dojang.server.paths import (
    AUTHORIZATION,
    FEED,
    INTROSPECTION,
    JWKS,
    LOGOUT,
    PUSHED_AUTHORIZATION,
    REGISTRATION,
    REVOCATION,
    TOKEN,
    USERINFO,
)


def build_server_metadata(issuer: str, *, registers: bool) -> dict[str, object]:
    """The document for `issuer`. `registers`: whether clients register themselves there."""
    methods = tuple(AuthenticationMethod)
    secret_methods = tuple(name for name in methods if name is not AuthenticationMethod.NONE)
    algorithms = tuple(sorted(ALGORITHMS))
    return build_metadata(
        ServerMetadata(
            issuer=issuer,
            authorization_endpoint=issuer + AUTHORIZATION,
            token_endpoint=issuer + TOKEN,
            pushed_authorization_request_endpoint=issuer + PUSHED_AUTHORIZATION,
            userinfo_endpoint=issuer + USERINFO,
            end_session_endpoint=issuer + LOGOUT,
            registration_endpoint=issuer + REGISTRATION if registers else None,
            jwks_uri=issuer + JWKS,
            introspection_endpoint=issuer + INTROSPECTION,
            revocation_endpoint=issuer + REVOCATION,
            dojang_feed_endpoint=issuer + FEED,
            scopes_supported=tuple(SCOPES),
            response_types_supported=(CODE,),
            response_modes_supported=tuple(ResponseMode),
            prompt_values_supported=tuple(Prompt),
            subject_types_supported=tuple(SubjectType),
            id_token_signing_alg_values_supported=ID_TOKEN_ALGORITHMS,
            userinfo_signing_alg_values_supported=ID_TOKEN_ALGORITHMS,
            id_token_encryption_alg_values_supported=KEY_ENCRYPTION,
            id_token_encryption_enc_values_supported=CONTENT_ENCRYPTION,
            userinfo_encryption_alg_values_supported=KEY_ENCRYPTION,
            userinfo_encryption_enc_values_supported=CONTENT_ENCRYPTION,
            acr_values_supported=(PASSWORD_ACR,),
            claims_supported=("sub", *sorted(STANDARD)),
            ui_locales_supported=("en", "ko"),
            claims_parameter_supported=True,
            request_parameter_supported=True,
            request_object_signing_alg_values_supported=tuple(sorted(REQUEST_OBJECT_ALGORITHMS)),
            request_uri_parameter_supported=False,
            authorization_response_iss_parameter_supported=True,
            backchannel_logout_supported=True,
            backchannel_logout_session_supported=True,
            frontchannel_logout_supported=True,
            frontchannel_logout_session_supported=True,
            code_challenge_methods_supported=(METHOD,),
            grant_types_supported=(*STANDING, *ANEW),
            token_endpoint_auth_methods_supported=methods,
            token_endpoint_auth_signing_alg_values_supported=algorithms,
            introspection_endpoint_auth_methods_supported=secret_methods,
            introspection_endpoint_auth_signing_alg_values_supported=algorithms,
            revocation_endpoint_auth_methods_supported=methods,
            revocation_endpoint_auth_signing_alg_values_supported=algorithms,
        )
    )
