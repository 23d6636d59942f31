"""One call to whoever raises an alarm when no more calls come: a GET, of whose answer only the status matters."""

import logging

import httpx2
import trio
from pydantic import SecretStr

from engine import __version__

DEADLINE_S = 10.0
"""Over everything, from the name to the status line."""

# At INFO the client prints whole URLs, and this one tells who may call.
for _logger in map(logging.getLogger, ("httpx2", "httpcore2")):
    _logger.setLevel(max(logging.WARNING, _logger.level))


class Caller:
    """Knows the address; its repr does not tell it. Certificates are read once: that takes a sixth of a second."""

    def __init__(self, url: SecretStr, *, deadline_s: float = DEADLINE_S) -> None:
        self._url = url
        self._deadline_s = deadline_s
        self._trusted = httpx2.create_ssl_context(trust_env=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    async def call(self) -> str | None:
        """Returns within the deadline. → why nobody has heard it, without a secret; None: somebody has."""
        try:
            with trio.fail_after(self._deadline_s):
                status = await self._get()
        except trio.TooSlowError:
            return f"no answer within {self._deadline_s:g} s"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return type(error).__name__  # its text may quote the address, or the peer
        return None if 200 <= status < 300 else f"HTTP {status}"

    async def _get(self) -> int:
        """→ HTTP status. What follows it is not read, however long it is; redirects lead elsewhere, nobody follows."""
        # As in engine.kis.approval: neither a proxy nor a .netrc of this machine has a part in this.
        headers = {"accept-encoding": "identity", "connection": "close", "user-agent": f"pgmwatch/{__version__}"}
        async with (
            httpx2.AsyncClient(
                verify=self._trusted, follow_redirects=False, trust_env=False, timeout=None, headers=headers
            ) as client,
            client.stream("GET", self._url.get_secret_value()) as response,
        ):
            return response.status_code
