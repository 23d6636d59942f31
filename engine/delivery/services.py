"""What is known of single services: the form that each takes, whether it shows pictures, and the traps in its plugin.

The plugins are Apprise's; nothing here imports them, so that they stay behind one file.
"""

import uuid
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple

from engine.delivery import forms
from engine.delivery.forms import Form

_TEMPLATE_TITLE = 250
"""Apprise's own limit where a plugin names none."""


class Picture(Enum):
    """How a service takes a picture."""

    NONE = auto()
    INSIDE = auto()
    """In the same request as the text."""
    AFTER = auto()
    """In a request of its own, after the text."""


class Ways(NamedTuple):
    """How one plugin wants to be handed a message."""

    form: Form
    formats: tuple[str, ...] = ("text",)
    """What it is told to take, as Apprise names them; the first one is that of `form`."""
    picture: Picture = Picture.NONE
    from_file: bool = False
    """Its plugin opens a picture by its path: it must be a file."""
    known: bool = True
    """The form keeps to the service's limits in whatever it counts."""


def ways(plugin: Any) -> Ways:
    """By the name of its service; a template of the user's own gets plain text."""
    find = _WAYS.get(str(plugin.service_name).lower())
    if find is None or getattr(plugin, "template", None):
        return _unknown(plugin)
    return find(plugin)


def ruled(plugin: Any, taken: Ways) -> None:
    """Sets on the instance what the URL may have said otherwise (`?format=`, `?blocks=`), so that nothing is converted.

    A plugin with more than one format keeps what the URL said in `_format_override`, which has no public name.
    """
    vars(plugin)["_format_override"] = None
    if taken.known:
        plugin.notify_format = taken.formats
    else:
        vars(plugin).pop("notify_format", None)  # the class's own: Apprise turns plain text into that
    if hasattr(plugin, "use_blocks"):
        # Slack's phones say "no preview available" of blocks in an attachment.
        plugin.use_blocks = bool(plugin.template)
    if hasattr(plugin, "hsreq"):
        plugin.hsreq = False  # Matrix rooms of today have ids without a server's name; the plugin would add one
    if taken.picture is Picture.INSIDE:
        plugin.inline = True


def renew(plugin: Any) -> None:
    """Before each request.

    Matrix takes a second event with the transaction id of an earlier one for a repetition: it says yes and shows
    nothing. With an access token in the URL the plugin counts that id up for none of its events but the first.
    """
    token = getattr(plugin, "access_token", None)
    if hasattr(plugin, "transaction_id") and token is not None and token == plugin.password:
        plugin.transaction_id = uuid.uuid4()


def _unknown(plugin: Any) -> Ways:
    # A template has a place of its own for the title, also where the service has none.
    title_max = _TEMPLATE_TITLE if getattr(plugin, "template", None) else max(plugin.title_maxlen, 0)
    return Ways(forms.plain(plugin.body_maxlen, title_max, shared=bool(plugin.overflow_amalgamate_title)), known=False)


def _slack(plugin: Any) -> Ways:
    """A web hook says yes to a picture and drops it."""
    picture = Picture.AFTER if plugin.mode == "bot" else Picture.NONE
    return Ways(forms.slack(plugin.body_maxlen, plugin.title_maxlen), picture=picture)


def _matrix(plugin: Any) -> Ways:
    """A room; what a web hook between it and us makes of a message is not known."""
    if plugin.mode != "off":
        return _unknown(plugin)
    return Ways(forms.matrix(), ("html", "text"), Picture.AFTER, from_file=True)


_WAYS: dict[str, Callable[[Any], Ways]] = {
    "telegram": lambda _: Ways(forms.telegram(), ("html",), Picture.AFTER),
    "slack": _slack,
    "e-mail": lambda plugin: Ways(forms.mail(plugin.title_maxlen), ("html", "text"), Picture.INSIDE),
    "matrix": _matrix,
    "discord": lambda _: Ways(forms.markdown(forms.DISCORD_UNITS), picture=Picture.AFTER),
    "mattermost": lambda plugin: Ways(forms.markdown(plugin.body_maxlen)),
}
