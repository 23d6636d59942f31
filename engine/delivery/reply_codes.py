"""What the body of a chat service's reply says: a code, when to come back, whether the message is taken. Pure.

Of the reply's text nothing is passed on but codes that stand in this file: a reply may echo a token, and a token may
look like a code.
"""

import json
import math
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

MAX_READ_BYTES = 1 << 16
"""A reply that says no takes some hundred bytes; JSON beyond this is not worth the time to parse it."""
MAX_RETRY_AFTER_S = 3600.0
"""A service that asks for more is asked again after an hour."""


class Meaning(Enum):
    """What a reply that does not say yes means."""

    LATER = auto()
    """Not taken; it may be at another time."""
    MAYBE = auto()
    """It may have been taken."""
    THIS = auto()
    """This message will not be taken; another may be."""
    TARGET = auto()
    """Nothing will be taken from us there."""


class Said(NamedTuple):
    """`code`: one that is known here, or empty. `denied`: not taken, whatever the status says."""

    code: str = ""
    meaning: Meaning | None = None
    wait_s: float = 0.0
    denied: bool = False


NOTHING = Said()


def _all(meaning: Meaning, codes: str) -> dict[str, Meaning]:
    return dict.fromkeys(codes.split(), meaning)


# https://docs.slack.dev/reference/methods/chat.postMessage and the files.* methods that go with a picture. Of
# fatal_error and internal_error Slack says that some aspect of the operation may have succeeded.
SLACK: Mapping[str, Meaning] = {
    **_all(
        Meaning.LATER,
        "ratelimited rate_limited message_limit_exceeded service_unavailable request_timeout team_added_to_org"
        " org_login_required external_channel_migrating",
    ),
    **_all(Meaning.MAYBE, "fatal_error internal_error"),
    **_all(
        Meaning.THIS,
        "msg_too_long no_text too_many_attachments attachment_payload_limit_exceeded invalid_attachments"
        " invalid_blocks invalid_blocks_format msg_blocks_too_long markdown_text_conflict metadata_too_large"
        " duplicate_client_msg_id invalid_arguments invalid_array_arg invalid_charset invalid_form_data"
        " invalid_json json_not_object file_not_found file_update_failed blocked_file_type"
        " slack_connect_file_link_sharing_blocked slack_connect_canvas_sharing_blocked",
    ),
    **_all(
        Meaning.TARGET,
        "channel_not_found not_in_channel is_archived is_inactive restricted_action"
        " restricted_action_read_only_channel restricted_action_thread_only_channel"
        " restricted_action_non_threadable_channel thread_not_found user_not_found users_not_found"
        " cannot_dm_bot messages_tab_disabled cant_post_message ekm_access_denied not_authed invalid_auth"
        " account_inactive token_revoked token_expired no_permission missing_scope not_allowed_token_type"
        " access_denied accesslimited as_user_not_supported team_access_not_granted team_not_found"
        " enterprise_is_restricted method_deprecated deprecated_endpoint two_factor_setup_required"
        " storage_limit_reached",
    ),
}

# "Sending messages using incoming webhooks" (docs.slack.dev) and the changelog of 2016-05-17: a hook says one of these
# as plain text.
SLACK_HOOK: Mapping[str, Meaning] = {
    **_all(Meaning.THIS, "invalid_payload no_text too_many_attachments"),
    **_all(
        Meaning.TARGET,
        "action_prohibited channel_is_archived channel_not_found invalid_token no_active_hooks no_service no_service_id"
        " no_team posting_to_general_channel_denied team_disabled user_not_found",
    ),
}
_LONGEST = max(map(len, SLACK_HOOK))

# https://spec.matrix.org/latest/client-server-api/#standard-error-response
MATRIX: Mapping[str, Meaning] = {
    **_all(Meaning.LATER, "M_LIMIT_EXCEEDED M_RESOURCE_LIMIT_EXCEEDED"),
    **_all(Meaning.THIS, "M_TOO_LARGE M_BAD_JSON M_NOT_JSON M_INVALID_PARAM M_MISSING_PARAM"),
    **_all(
        Meaning.TARGET,
        "M_FORBIDDEN M_UNKNOWN_TOKEN M_MISSING_TOKEN M_USER_DEACTIVATED M_USER_LOCKED M_USER_SUSPENDED M_NOT_FOUND"
        " M_UNRECOGNIZED M_GUEST_ACCESS_FORBIDDEN M_CONSENT_NOT_GIVEN M_UNSUPPORTED_ROOM_VERSION"
        " M_INCOMPATIBLE_ROOM_VERSION M_SERVER_NOT_TRUSTED M_WRONG_ROOM_KEYS_VERSION",
    ),
}

# https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
DISCORD: Mapping[int, tuple[str, Meaning]] = {
    10003: ("unknown_channel", Meaning.TARGET),
    10015: ("unknown_webhook", Meaning.TARGET),
    40005: ("request_too_large", Meaning.THIS),
    50001: ("missing_access", Meaning.TARGET),
    50006: ("empty_message", Meaning.THIS),
    50013: ("missing_permissions", Meaning.TARGET),
    50027: ("invalid_webhook_token", Meaning.TARGET),
    50035: ("invalid_form_body", Meaning.THIS),
}

# Telegram has no codes: what it says of a chat and of a message alike is 400 with a sentence.
TELEGRAM: Mapping[str, tuple[str, Meaning]] = {
    "chat not found": ("chat_not_found", Meaning.TARGET),
    "chat_id is empty": ("chat_id_empty", Meaning.TARGET),
    "group chat was upgraded to a supergroup": ("chat_upgraded", Meaning.TARGET),
    "message thread not found": ("thread_not_found", Meaning.TARGET),
    "topic_closed": ("topic_closed", Meaning.TARGET),
    "peer_id_invalid": ("peer_id_invalid", Meaning.TARGET),
    "not enough rights": ("not_enough_rights", Meaning.TARGET),
    "have no rights": ("no_rights", Meaning.TARGET),
    "need administrator rights": ("no_rights", Meaning.TARGET),
    "chat_write_forbidden": ("chat_write_forbidden", Meaning.TARGET),
    "bot was blocked": ("bot_blocked", Meaning.TARGET),
    "bot was kicked": ("bot_kicked", Meaning.TARGET),
    "bot is not a member": ("bot_not_member", Meaning.TARGET),
    "bot can't initiate conversation": ("bot_not_started", Meaning.TARGET),
    "user is deactivated": ("user_deactivated", Meaning.TARGET),
    "can't parse entities": ("markup_rejected", Meaning.THIS),
    "message is too long": ("message_too_long", Meaning.THIS),
    "caption is too long": ("caption_too_long", Meaning.THIS),
    "message text is empty": ("message_empty", Meaning.THIS),
}


def read(body: bytes) -> Said:
    """What is known of a reply's body; `NOTHING` if it is neither a known word nor a JSON object of reasonable size."""
    answer = _parsed(body)
    if answer is None:
        return _word(body)
    code, meaning = _code(answer)
    return Said(code, meaning, _wait_s(answer), denied=answer.get("ok") is False)


def _word(body: bytes) -> Said:
    word = body.decode("ascii", "replace").strip() if len(body) <= _LONGEST + len("\r\n") else ""
    return Said(word, SLACK_HOOK[word]) if word in SLACK_HOOK else NOTHING


def _parsed(body: bytes) -> dict[str, Any] | None:
    if body.lstrip()[:1] != b"{" or len(body) > MAX_READ_BYTES:
        return None
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # ten thousand brackets, and numbers of as many digits
        return None
    return answer if isinstance(answer, dict) else None


def _code(answer: Mapping[str, Any]) -> tuple[str, Meaning | None]:
    error, errcode, number = answer.get("error"), answer.get("errcode"), answer.get("code")
    if isinstance(errcode, str) and errcode in MATRIX:
        return errcode.lower(), MATRIX[errcode]
    if isinstance(error, str) and error in SLACK:
        return error, SLACK[error]
    if isinstance(number, int) and number in DISCORD:
        return DISCORD[number]
    description = answer.get("description")
    if isinstance(description, str):
        said = description.lower()
        return next((known for words, known in TELEGRAM.items() if words in said), ("", None))
    return "", None


def _wait_s(answer: Mapping[str, Any]) -> float:
    """Seconds until another attempt makes sense; 0 if that is not said, or not said as a number."""
    parameters = answer.get("parameters")
    if isinstance(parameters, dict):
        return seconds(parameters.get("retry_after"))
    if "retry_after_ms" in answer:
        return seconds(answer["retry_after_ms"], per_second=1000)
    wait = answer.get("retry_after")
    # Discord (`global`) counts in whole milliseconds where the address names no version of its interface, as those of
    # web hooks do not, and in seconds with a fraction where it does.
    in_ms = isinstance(answer.get("global"), bool) and isinstance(wait, int)
    return seconds(wait, per_second=1000 if in_ms else 1)


def seconds(number: object, *, per_second: int = 1) -> float:
    """A positive finite number as seconds, at most an hour; anything else is 0."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return 0.0
    if isinstance(number, float) and not math.isfinite(number):
        return 0.0
    return float(min(max(number, 0), MAX_RETRY_AFTER_S * per_second)) / per_second
