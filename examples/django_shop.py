"""A shop on Django with Django's own users and a sign-in page of its own, and an authorization
server below /auth that signs the same users in to other applications.

    pip install 'dojang[server]' django uvicorn
    dojang init auth --issuer http://127.0.0.1:8000/auth
    python django_shop.py migrate
    python django_shop.py createsuperuser
    uvicorn django_shop:application

Then open http://127.0.0.1:8000/auth/account, and sign in as the user you have made.
"""

import os
import sys
from pathlib import Path
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings

AUTH = Path(os.environ.get("SHOP_AUTH", "auth"))  # what `dojang init` made
ORIGIN = os.environ.get("SHOP_ORIGIN", "http://127.0.0.1:8000")

settings.configure(
    SECRET_KEY=os.environ.get("SHOP_SECRET_KEY", "only for this machine"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("SHOP_DATABASE", "shop.db"),
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import authenticate, get_user_model, login
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template import engines
from django.urls import path

from dojang.embedding import (
    AuthorizationServer,
    Config,
    Keys,
    Profile,
    Proven,
    Storage,
)

User = get_user_model()

PAGE = engines["django"].from_string(
    """<!doctype html><html lang="en"><title>Shop</title><h1>The shop's own page</h1>
<p role="alert">{{ problem }}</p>
<form method="post">{% csrf_token %}
<label>Name <input id="username" name="username"></label>
<label>Password <input id="password" name="password" type="password"></label>
<button id="submit">Sign in</button></form></html>"""
)


class DjangoAccounts:
    """Django's users as the authorization server sees them."""

    async def authenticate(self, username: str, password: str, *, network: str) -> Proven | None:
        """Not asked while the shop has a sign-in page of its own."""
        user = await sync_to_async(authenticate)(username=username, password=password)
        return Proven(account_id=str(user.pk), amr=("pwd",)) if user else None

    async def find_profile(self, account_id: str) -> Profile | None:
        user = await User.objects.filter(pk=account_id, is_active=True).afirst()
        if user is None:
            return None
        claims = {
            "preferred_username": user.get_username(),
            "name": user.get_full_name(),
            "email": user.email,
        }
        return Profile(
            account_id=account_id, claims={name: value for name, value in claims.items() if value}
        )


server = AuthorizationServer(
    Config(
        issuer=f"{ORIGIN}/auth",
        storage=Storage(url=f"sqlite:{AUTH / 'dojang.db'}"),
        keys=Keys(encryption_key=(AUTH / "key-encryption.key").read_text().strip()),
    ),
    accounts=DjangoAccounts(),
    sign_in_page="/sign-in",
)


def sign_in(request: HttpRequest) -> HttpResponse:
    """Whoever is signed in to the shop goes on at once, unless they are to be asked anew."""
    if request.method == "POST":
        user: Any = authenticate(
            request,
            username=request.POST.get("username"),
            password=request.POST.get("password"),
        )
        if user is None:
            page = PAGE.render({"problem": "That is not right."}, request)
            return HttpResponse(page, status=401)
        login(request, user)
        return _send_back(request)
    if request.user.is_authenticated and request.GET.get("prompt") != "login":
        return _send_back(request)
    return HttpResponse(PAGE.render({"problem": ""}, request))


def _send_back(request: HttpRequest) -> HttpResponse:
    since = request.user.last_login
    try:
        return redirect(
            server.confirm_sign_in(
                request.GET.get("return_to", ""),
                str(request.user.pk),
                auth_time=int(since.timestamp()) if since else None,
            )
        )
    except ValueError as error:
        return HttpResponseBadRequest(str(error), content_type="text/plain")


async def close_account(request: HttpRequest) -> HttpResponse:
    """The user leaves: no more sign-ins, and every token that says it acts for them stops."""
    user = await request.auser()
    if request.method != "POST" or not user.is_authenticated:
        return HttpResponseBadRequest("sign in first", content_type="text/plain")
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    await server.perform("revoke.account", subject=str(user.pk))
    return HttpResponse("closed", content_type="text/plain")


urlpatterns = [path("sign-in", sign_in), path("close-account", close_account)]
application = server.in_front_of(get_asgi_application())

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
