"""The pages that people see: sign-in, consent, account, logout, and what went wrong.

`site` is what they share; `authorization`, `account` and `logout` answer requests; `drawing` makes
HTML of it. No page needs JavaScript and none loads anything from elsewhere (C43).
"""
