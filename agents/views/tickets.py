"""A form that makes a key works once: sending it again must neither make another nor show the first again."""

import secrets
from functools import wraps

from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http.response import HttpResponseBase

from accounts.http import OrgRequest, OrgView

_USED = "tickets_used"  # in the session: which form made something for which agent; never a key
_USED_MAX = 20
_LENGTH_MAX = 40


def new() -> str:
    """A ticket for a form that is about to be shown."""
    return secrets.token_urlsafe(12)


def one_at_a_time[**P](view: OrgView[P]) -> OrgView[P]:
    """Let the forms of one browser be sent one after another: a double click's second finds the ticket used.

    Raises SessionInterrupted, an answer of 400, when the person signed out meanwhile; nothing is made then.
    """

    @wraps(view)
    def waiting_its_turn(request: OrgRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        with transaction.atomic():
            _read_again(request)
            return view(request, *args, **kwargs)

    return waiting_its_turn


def sent(request: OrgRequest) -> str:
    """The ticket that came back with a form."""
    return request.POST.get("ticket", "")[:_LENGTH_MAX]


def used_for(request: OrgRequest) -> str | None:
    """The agent that this very form was used for before; none when it is fresh."""
    used: dict[str, str] = request.session.get(_USED, {})
    return used.get(sent(request))


def use(request: OrgRequest, agent_id: object) -> None:
    """Mark the form as used, for whoever waits for the session's row."""
    used = {**request.session.get(_USED, {}), sent(request): str(agent_id)}
    request.session[_USED] = dict(list(used.items())[-_USED_MAX:])
    request.session.save()


def _read_again(request: OrgRequest) -> None:
    """Lock the session's row, and take from it what another request marked since this one began."""
    kept = Session.objects.select_for_update().filter(session_key=request.session.session_key).first()
    if kept is None:
        raise SessionInterrupted("The session ended before the form was read.")
    used = kept.get_decoded().get(_USED, {})
    if used != request.session.get(_USED, {}):
        request.session[_USED] = used
