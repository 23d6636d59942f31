"""A real Matrix server (Synapse) on loopback, with a user that sends, a user that reads, and a room for both."""

import hashlib
import hmac
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environment

START_S = 60.0
"""It takes 2.5 s where nothing else runs; its database is new every time."""
SECRET = "TEST-registration"
PASSWORD = "TEST-matrix-password"
_CONFIG = """\
server_name: desk.test
public_baseurl: http://127.0.0.1:{port}/
signing_key_path: {folder}/signing.key
media_store_path: {folder}/media
report_stats: false
trusted_key_servers: []
registration_shared_secret: {secret}
macaroon_secret_key: TEST-macaroon
form_secret: TEST-form
log_config: {folder}/log.yaml
database: {{name: sqlite3, args: {{database: "{folder}/database"}}}}
listeners: [{{port: {port}, type: http, bind_addresses: [127.0.0.1], resources: [{{names: [client, media]}}]}}]
bcrypt_rounds: 4
rc_login: {{address: {free}, account: {free}, failed_attempts: {free}}}
rc_registration: {free}
rc_message: {free}
rc_joins: {{local: {free}}}
"""
_FREE = "{per_second: 1000, burst_count: 1000}"
_LOG = "{version: 1, root: {level: WARNING, handlers: [all]}, handlers: {all: {class: logging.StreamHandler}}}"


@dataclass(frozen=True)
class User:
    name: str
    token: str


@dataclass
class Matrix:
    port: int
    sender: User
    reader: User
    admin: User
    room: str = ""

    def url(self, *, query: str = "", token: bool = False) -> str:
        """Apprise's, with the sender's password or access token."""
        login = self.sender.token if token else f"{self.sender.name}:{PASSWORD}"
        return f"matrix://{quote(login, safe=':')}@127.0.0.1:{self.port}/{quote(self.room, safe='')}/{query}"

    def messages(self) -> list[dict[str, Any]]:
        """The contents of the room's messages as the reader gets them, oldest first."""
        path = f"/_matrix/client/v3/rooms/{quote(self.room)}/messages?dir=f&limit=100"
        events = call(self.port, path, token=self.reader.token)["chunk"]
        return [event["content"] for event in events if event["type"] == "m.room.message"]

    def media(self, uri: str) -> bytes:
        """What an mxc:// address leads the reader to."""
        path = f"/_matrix/client/v1/media/download/{uri.removeprefix('mxc://')}"
        return fetch(self.port, path, token=self.reader.token)

    def limit(self, per_second: int) -> None:
        """How many messages the sender may send; 0: as many as they like."""
        path = f"/_synapse/admin/v1/users/@{self.sender.name}:desk.test/override_ratelimit"
        body = {"messages_per_second": per_second, "burst_count": per_second}
        call(self.port, path, body, self.admin.token)

    def new_room(self) -> None:
        """Another room for both; what was said so far stays in the old one."""
        body = {"preset": "trusted_private_chat", "invite": [f"@{self.reader.name}:desk.test"]}
        self.room = str(call(self.port, "/_matrix/client/v3/createRoom", body, self.sender.token)["room_id"])
        call(self.port, f"/_matrix/client/v3/join/{quote(self.room)}", {}, self.reader.token)


def fetch(port: int, path: str, body: object = None, token: str = "") -> bytes:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        content = answer.read()
    assert isinstance(content, bytes)
    return content


def call(port: int, path: str, body: object = None, token: str = "") -> dict[str, Any]:
    value = json.loads(fetch(port, path, body, token))
    assert isinstance(value, dict)
    return value


def _register(port: int, name: str, *, admin: bool = False) -> User:
    """As the shared secret allows it (Synapse's admin API)."""
    path = "/_synapse/admin/v1/register"
    nonce = call(port, path)["nonce"]
    proof = hmac.new(
        SECRET.encode(), f"{nonce}\0{name}\0{PASSWORD}\0{'' if admin else 'not'}admin".encode(), hashlib.sha1
    )
    body = {"nonce": nonce, "username": name, "password": PASSWORD, "admin": admin, "mac": proof.hexdigest()}
    return User(name, str(call(port, path, body)["access_token"]))


@contextmanager
def matrix_server(folder: Path) -> Iterator[Matrix]:
    python = environment.need("synapse_homeserver", "make setup")
    port = environment.free_port()
    config = folder / "homeserver.yaml"
    (folder / "log.yaml").write_text(_LOG)
    (folder / "signing.key").write_text(f"ed25519 a_TEST {'A' * 43}\n")
    config.write_text(_CONFIG.format(port=port, folder=folder, secret=SECRET, free=_FREE))
    command: list[str | Path] = [python, "--config-path", config]
    with environment.running(command, port, folder / "log", seconds=START_S):
        server = Matrix(port, _register(port, "desk"), _register(port, "kim"), _register(port, "root", admin=True))
        server.new_room()
        yield server
