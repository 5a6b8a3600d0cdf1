"""A small Django application whose people sign in through mozilla-django-oidc. Arguments: its port,
the issuer, its client secret."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

PORT, ISSUER, SECRET = sys.argv[1:]
ORIGIN = f"http://127.0.0.1:{PORT}"

settings.configure(
    SECRET_KEY="of this test",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "mozilla_django_oidc",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    LOGIN_URL="/oidc/authenticate/",
    LOGIN_REDIRECT_URL="/",
    LOGIN_REDIRECT_URL_FAILURE="/no",
    LOGOUT_REDIRECT_URL="/bye",
    OIDC_RP_CLIENT_ID="django",
    OIDC_RP_CLIENT_SECRET=SECRET,
    OIDC_RP_SIGN_ALGO="ES256",
    OIDC_RP_SCOPES="openid email profile",
    OIDC_USE_PKCE=True,
    OIDC_OP_AUTHORIZATION_ENDPOINT=ISSUER + "/authorize",
    OIDC_OP_TOKEN_ENDPOINT=ISSUER + "/token",
    OIDC_OP_USER_ENDPOINT=ISSUER + "/userinfo",
    OIDC_OP_JWKS_ENDPOINT=ISSUER + "/.well-known/jwks.json",
    OIDC_STORE_ID_TOKEN=True,
    OIDC_OP_LOGOUT_URL_METHOD=f"{__name__}.find_logout",
    ALLOW_LOGOUT_GET_METHOD=True,
)


def find_logout(request: HttpRequest) -> str:
    """Where the person is signed out of everything."""
    hint = request.session["oidc_id_token"]
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": ORIGIN + "/bye"}
    return f"{ISSUER}/logout?{urlencode(asked)}"


@login_required  # type: ignore[untyped-decorator]
def show_who(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"email": request.user.email})


def refuse(request: HttpRequest) -> JsonResponse:
    return JsonResponse({}, status=403)


urlpatterns = [
    path("", show_who),
    path("no", refuse),
    path("oidc/", include("mozilla_django_oidc.urls")),
]


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not to the console."""


if __name__ == "__main__":
    django.setup()
    call_command("migrate", verbosity=0)
    server = make_server("127.0.0.1", int(PORT), get_wsgi_application(), handler_class=Quiet)
    print("serving", flush=True)
    server.serve_forever()
