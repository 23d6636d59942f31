"""What a mail met, seen in the conversation with the server.

Apprise sends with `smtplib` and tells yes or no. The two classes of `smtplib` are replaced, once, by the ones below:
they note how far the conversation came, and they wait for no reply longer than the timeout, nor read it without end.
"""

import io
import smtplib
from typing import Any

from engine.delivery import outcomes
from engine.delivery.outcomes import Trouble
from engine.delivery.replies import seen_here
from engine.delivery.target import Delivered, Refused
from engine.delivery.wire import TimedReader

REPLY_S = 10.0
"""One reply, where the plugin says nothing else."""
VERDICT_S = 20.0
"""The last reply: before it, servers look for spam and viruses. The whole attempt must fit into its deadline."""
MAX_REPLY_BYTES = 1 << 16
"""A server's longest reply, that to EHLO, has a dozen short lines."""

_GO_ON = 354  # the reply to DATA: what is sent next is the mail
_TOO_LARGE = 552  # the one reply to MAIL FROM that is about the mail: its size was told there
_WELCOME = 220


def install() -> None:
    """Every mail connection that is opened from here on is watched."""
    vars(smtplib)["SMTP"] = _Smtp
    vars(smtplib)["SMTP_SSL"] = _SecureSmtp


class _Smtp(smtplib.SMTP):
    # Without an __init__ of its own: that of SMTP_SSL calls the one it finds under the name that is replaced.
    _timed: TimedReader | None = None
    _code = 0
    _waiting = False
    """The whole mail is on its way, and what the server says next is what becomes of it."""
    _undecided = False
    """It did not say that, or nothing that makes sense."""

    def connect(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        try:
            code, text = super().connect(*args, **kwargs)
        except OSError:
            seen_here().note(outcomes.no_connection())
            raise
        if code != _WELCOME:
            seen_here().note(outcomes.refused_by_mail_server(code, text, certain=False))
        return code, text

    def starttls(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        try:
            return super().starttls(*args, **kwargs)
        except OSError as error:
            seen_here().note(_before_the_mail(error, "STARTTLS not offered"))
            raise

    def login(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        try:
            return super().login(*args, **kwargs)
        except OSError as error:
            seen_here().note(_before_the_mail(error, "login not offered"))
            raise

    def sendmail(self, *args: Any, **kwargs: Any) -> dict[str, tuple[int, bytes]]:
        seen = seen_here()
        self._waiting = self._undecided = False
        try:
            refused = super().sendmail(*args, **kwargs)
        except smtplib.SMTPRecipientsRefused as error:
            for code, text in error.recipients.values():
                seen.note(outcomes.refused_by_mail_server(code, text))
            raise
        except OSError as error:
            seen.note(outcomes.no_reply() if self._undecided else _of_the_mail(error))
            raise
        seen.note(Delivered())
        for code, text in refused.values():
            seen.note(outcomes.refused_by_mail_server(code, text))
        return refused

    def send(self, s: Any) -> None:
        super().send(s)  # raises if not all of it could be handed over: then the server has no end of the mail
        if self._code == _GO_ON:
            self._waiting = self._undecided = True

    def getreply(self) -> tuple[int, bytes]:
        assert self.sock is not None
        within_s = VERDICT_S if self._waiting else self.timeout or REPLY_S
        if self.file is None:  # at the beginning, and again inside TLS
            self._timed = TimedReader(self.sock, within_s, MAX_REPLY_BYTES)
            self.file = io.BufferedReader(self._timed)
        assert self._timed is not None
        self._timed.allow(within_s, MAX_REPLY_BYTES)
        self._code, text = super().getreply()
        if self._waiting:
            self._waiting, self._undecided = False, self._code < 0
        return self._code, text


class _SecureSmtp(_Smtp, smtplib.SMTP_SSL):
    pass


def _before_the_mail(error: OSError, not_offered: str) -> Trouble:
    if isinstance(error, smtplib.SMTPResponseException):
        certain = isinstance(error, smtplib.SMTPAuthenticationError)
        return outcomes.refused_by_mail_server(error.smtp_code, error.smtp_error, certain=certain)
    if isinstance(error, smtplib.SMTPServerDisconnected) or not isinstance(error, smtplib.SMTPException):
        return outcomes.lost_connection()
    return Refused(not_offered)  # the URL asks for something that the server does not have, or not now


def _of_the_mail(error: OSError) -> Trouble:
    if not isinstance(error, smtplib.SMTPResponseException):
        return outcomes.lost_connection()
    about_this = isinstance(error, smtplib.SMTPDataError) or error.smtp_code == _TOO_LARGE
    certain = not isinstance(error, smtplib.SMTPHeloError)
    return outcomes.refused_by_mail_server(error.smtp_code, error.smtp_error, only_this=about_this, certain=certain)
