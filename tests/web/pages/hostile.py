# ruff: noqa: E501  addresses in lines of some, and look-alikes are what some are about
"""Redirect URIs that somebody would like to be taken for a registered one."""

from __future__ import annotations

from typing import Final

WEB: Final = "https://app.test/callback"
LOOPBACK: Final = "http://127.0.0.1/native"
PRIVATE: Final = "com.example.app:/callback"
REGISTERED: Final = (WEB, LOOPBACK, PRIVATE)

_SCHEMES: Final = (
    *("javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,<script>alert(1)</script>"),
    *("vbscript:x", "file:///etc/passwd", "about:blank", "blob:https://app.test/x", "ftp://app.test/"),
    *("mailto:a@app.test", "ws://app.test/callback", "wss://app.test/callback", "view-source:" + WEB),
    *("intent://app.test/callback#Intent;end", "tel:+1", "chrome://settings", "urn:ietf:wg:oauth:2.0:oob"),
)  # fmt: skip
_HOSTS: Final = (
    *("evil.test", "app.test.evil.test", "evil.test/app.test", "evilapp.test", "xapp.test"),
    *("app.test@evil.test", "app.test:443@evil.test", "app.test%40evil.test", "evil.test#app.test"),
    *("evil.test?app.test", "evil.test\\@app.test", "evil.test\\app.test", "app.test\\@evil.test"),
    *("app.test:8443", "app.test:443", "app.test:80", "app.test:", "app.test:0", "app.test:99999"),
    *("APP.TEST", "App.test", "app.test.", "app..test", ".app.test", "www.app.test", "app.test.test"),
    *("app.tes", "app.testt", "a.pp.test", "app_test", "app-test", "app.test;evil.test"),
    *("app.test,evil.test", "app.test&evil.test", "app.test%00.evil.test", "app.test%2eevil.test"),
    *("app.test%09", "app.test%20", "app.test ", " app.test", "app.test\t", "app.test\n", "app.test\r"),
    *("app.test\x00", "аpp.test", "app。test", "app.test．evil.test", "xn--pp-6kc.test", "ａpp.test"),
    *("127.0.0.1", "localhost", "[::1]", "0", "0x7f.1", "2130706433", "0.0.0.0", "169.254.169.254"),
    *("user:pass@app.test", "user@app.test", ":@app.test", "@app.test", "*.app.test", "*", "app.*"),
)  # fmt: skip
_PATHS: Final = (
    *("", "/", "/callback/", "/callback//", "//callback", "/Callback", "/CALLBACK", "/callbac"),
    *("/callback2", "/callback/x", "/callback/..", "/callback/../callback", "/./callback"),
    *("/x/../callback", "/callback/.", "/callback%2f", "/callback%2F..", "/%63allback", "/callback%20"),
    *("/callback%00", "/callback%0d%0aLocation:%20https://evil.test", "/callback\r\nX: y", "/callback "),
    *("/callback?x=1", "/callback?", "/callback?next=https://evil.test", "/callback?code=stolen"),
    *("/callback#", "/callback#x", "/callback#https://evil.test", "/callback;x", "/callback;jsessionid=1"),
    *("/callback&x=1", "/callback,https://evil.test", "/callback https://evil.test", "/callback\\"),
    *("\\callback", "/callback\t", "/callback\n", "/callback\x00", "/callback%", "/callback%zz"),
    *("/callback%252f", "/callbäck", "/callback\u200b", "/callback\u202e", "/callback*", "/*"),
    *("/callback@evil.test", "/callback:80", "/callback|x", '/callback"', "/callback'", "/callback<"),
)  # fmt: skip
_STARTS: Final = (
    *("http://", "HTTPS://", "Https://", "https:", "https:/", "https:///", "https:\\\\", "//", "/"),
    *("", "https://https://", "https%3A%2F%2F", " https://", "\thttps://", "https://\t", "x-https://"),
)  # fmt: skip
_LOOPBACKS: Final = (
    *("http://127.0.0.2/native", "http://127.1/native", "http://localhost/native", "http://[::1]/native"),
    *("http://127.0.0.1.evil.test/native", "http://127.0.0.1@evil.test/native", "http://127.0.0.1:/native"),
    *("http://127.0.0.1:80@evil.test/native", "http://127.0.0.1:99999/native", "http://127.0.0.1:-1/native"),
    *("http://127.0.0.1:080/native", "http://127.0.0.1: 80/native", "http://127.0.0.1:8x/native"),
    *("https://127.0.0.1/native", "http://127.0.0.1/native/", "http://127.0.0.1/Native", "http://127.0.0.1/"),
    *("http://127.0.0.1:8080/native?x", "http://127.0.0.1:8080/native#x", "http://127.0.0.1:8080/native2"),
    *("http://127.0.0.1:8080/x/../native", "http://127.0.0.1:8080//native", "HTTP://127.0.0.1:8080/native"),
    *("http://0x7f000001/native", "http://2130706433/native", "http://[::ffff:127.0.0.1]/native"),
    *("http:127.0.0.1/native", "http:/127.0.0.1/native", "http:\\\\127.0.0.1\\native"),
    *("http://127.0.0.1:8080\\@evil.test/native", "http://127.0.0.1:8080;/native", "http://127.0.0.1%3a80/native"),
    *("http://１２７.0.0.1/native", "http://127.0.0.1:٨٠/native", "ws://127.0.0.1:80/native"),
)  # fmt: skip
_PRIVATES: Final = (
    *("com.example.app://callback", "com.example.app:/callback/", "com.example.app:/", "com.example.app:"),
    *("com.example.app:callback", "COM.example.app:/callback", "com.example.app2:/callback"),
    *("com.example.app:/callback?x=1", "com.example.app:/callback#x", "com.example.app:///callback"),
    *("com.evil.app:/callback", "com.example.app:/callback%00", "com.example.app://evil.test/callback"),
)  # fmt: skip

HOSTILE: Final = tuple(
    dict.fromkeys(
        (
            *_SCHEMES,
            *(f"https://{host}/callback" for host in _HOSTS),
            *(f"https://app.test{path}" for path in _PATHS),
            *(f"{start}app.test/callback" for start in _STARTS),
            *_LOOPBACKS,
            *_PRIVATES,
            WEB + " ",
            " " + WEB,
            WEB * 2,
            f"{WEB} {WEB}",
            WEB + "x" * 3000,
        )
    )
)
