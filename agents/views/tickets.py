"""A form that makes a key works once: sending it again must neither make another nor show the first again."""

import secrets

from accounts.http import OrgRequest

_USED = "tickets_used"  # in the session: which form made something for which agent; never a key
_USED_MAX = 20
_LENGTH_MAX = 40


def new() -> str:
    """A ticket for a form that is about to be shown."""
    return secrets.token_urlsafe(12)


def sent(request: OrgRequest) -> str:
    """The ticket that came back with a form."""
    return request.POST.get("ticket", "")[:_LENGTH_MAX]


def used_for(request: OrgRequest) -> str | None:
    """The agent that this very form was used for before; none when it is fresh."""
    used: dict[str, str] = request.session.get(_USED, {})
    return used.get(sent(request))


def use(request: OrgRequest, agent_id: object) -> None:
    """Mark the form as used."""
    used = {**request.session.get(_USED, {}), sent(request): str(agent_id)}
    request.session[_USED] = dict(list(used.items())[-_USED_MAX:])
