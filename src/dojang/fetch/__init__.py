"""The one outbound door: https off loopback, no redirects, bounded in bytes and in time."""

from dojang.fetch.async_client import AsyncHttpTransport
from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.fetch.flow import TURN, Flow, drive, drive_async
from dojang.fetch.http_client import HttpTransport
from dojang.fetch.message import FetchRequest, FetchResponse, check_request, check_response
from dojang.fetch.outward import Outward, OutwardTransport
from dojang.fetch.outward_rules import check_outward_url
from dojang.fetch.transport import AsyncTransport, ThreadedTransport, Transport

__all__ = [
    "TURN",
    "AsyncHttpTransport",
    "AsyncTransport",
    "FetchFailed",
    "FetchProblem",
    "FetchRequest",
    "FetchResponse",
    "Flow",
    "HttpTransport",
    "Outward",
    "OutwardTransport",
    "ThreadedTransport",
    "Transport",
    "check_outward_url",
    "check_request",
    "check_response",
    "drive",
    "drive_async",
]
