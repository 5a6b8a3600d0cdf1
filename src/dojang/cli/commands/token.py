"""placeholder"""

from dojang.cli.options import make_group

app = make_group("x")
