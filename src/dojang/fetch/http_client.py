"""HTTP/1.1 over the standard library: keep-alive connections in a bounded pool."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import SplitResult
from weakref import finalize

from dojang.fetch.deadline import Deadline, DeadlineSocket, TooMuch, connect
from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.fetch.forking import renew_in_children
from dojang.fetch.message import FetchRequest, FetchResponse, check_request, check_response
from dojang.fetch.names import FindAddresses, find_addresses, lead_to_socket
from dojang.fetch.pool import Origin, Pool, parse_origin
from dojang.fetch.reading import FRAMING, HEAD_BYTES
from dojang.fetch.tls import find_context


class HttpTransport:
    """A `Transport`. `tls` is the context for https (default: the system's trust store, verified).
    With `unix` every request goes to the server behind that socket.

    At most `kept_per_host` idle connections are kept for one origin, and `kept` in all.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        unix: str | None = None,
        kept_per_host: int = 8,
        kept: int = 64,
    ) -> None:
        self._tls = tls
        self._find = find_addresses if unix is None else lead_to_socket(unix)
        self._pool: Pool[_Connection] = Pool(per_origin=kept_per_host, total=kept)
        finalize(self, self._pool.close)
        renew_in_children(self._pool)

    def __repr__(self) -> str:
        return "HttpTransport()"

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()

    def send(self, request: FetchRequest) -> FetchResponse:
        parts = check_request(request)
        deadline = Deadline(request.timeout)
        origin = parse_origin(parts)
        try:
            return self._send(request, parts, origin, deadline)
        except FetchFailed:
            raise
        except TimeoutError:
            problem = FetchProblem.TIMEOUT
        except ssl.SSLError:
            problem = FetchProblem.TLS
        except TooMuch:
            problem = FetchProblem.TOO_LARGE
        except (http.client.HTTPException, ValueError):  # such as a chunk of less than nothing
            problem = FetchProblem.MALFORMED
        except OSError:
            problem = FetchProblem.CONNECTION
        # Outside of the handlers: what was raised may quote the answer.
        raise FetchFailed(request.host, problem)

    def _send(
        self, request: FetchRequest, parts: SplitResult, origin: Origin, deadline: Deadline
    ) -> FetchResponse:
        while (kept := self._pool.take(origin)) is not None:
            try:
                response = kept.ask(request, parts, deadline)
            except (ConnectionError, http.client.BadStatusLine):
                if request.method != "GET" and not request.repeatable:
                    raise
                continue
            return self._finish(kept, request, response, origin)
        connection = _Connection(origin, self._find, self._find_tls(origin), deadline)
        return self._finish(connection, request, connection.ask(request, parts, deadline), origin)

    def _finish(
        self,
        connection: _Connection,
        request: FetchRequest,
        response: http.client.HTTPResponse,
        origin: Origin,
    ) -> FetchResponse:
        done = False
        try:
            headers = {name.lower(): value for name, value in response.getheaders()}
            check_response(request, response.status, headers)
            body = response.read(request.max_bytes + 1)
            if len(body) > request.max_bytes:
                raise FetchFailed(request.host, FetchProblem.TOO_LARGE)
            if response.length:
                raise FetchFailed(request.host, FetchProblem.MALFORMED)
            response.read()  # the empty end of it: http.client closes what was read whole
            done = response.isclosed() and not response.will_close
            return FetchResponse(response.status, headers, body)
        finally:
            if done:
                self._pool.keep(origin, connection)
            else:
                connection.close()

    def _find_tls(self, origin: Origin) -> ssl.SSLContext | None:
        if origin[0] == "http":
            return None
        return self._tls or find_context()


class _Connection:
    """One connection to one origin."""

    def __init__(
        self, origin: Origin, find: FindAddresses, tls: ssl.SSLContext | None, deadline: Deadline
    ) -> None:
        _, host, port = origin
        plug = connect(find(host, port).result(deadline.remaining()), deadline)
        if tls is not None:
            try:
                plug.settimeout(deadline.remaining())
                plug = tls.wrap_socket(plug, server_hostname=host)
            except BaseException:
                plug.close()
                raise
        self._socket = DeadlineSocket(plug, deadline)
        self._http = http.client.HTTPConnection(host, port)
        self._http.sock = self._socket

    def ask(
        self, request: FetchRequest, parts: SplitResult, deadline: Deadline
    ) -> http.client.HTTPResponse:
        """Send the request and read the head of the response. Closed again if that fails."""
        self._socket.deadline = deadline
        self._socket.allowance = HEAD_BYTES + FRAMING * request.max_bytes
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            self._http.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            self._http.putheader("Host", parts.netloc)
            self._http.putheader("Accept-Encoding", "identity")
            for name, value in request.headers:
                self._http.putheader(name, value)
            if request.body or request.method == "POST":
                self._http.putheader("Content-Length", str(len(request.body)))
            self._http.endheaders(request.body or None)
            return self._http.getresponse()
        except BaseException:
            self.close()
            raise

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer: an end of file would have."""
        return self._socket.is_quiet()

    def close(self) -> None:
        self._http.close()
        self._socket.hang_up()
