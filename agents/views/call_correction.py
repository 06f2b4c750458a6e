"""What a call really cost, where only a worst case or an estimate was charged."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect

from accounts.http import OrgRequest, admin_required, form_only
from agents.budget_terms import BadBudget
from agents.corrections import CannotCorrect, correct
from agents.forms import CorrectionForm
from agents.reports import calls
from agents.templatetags.formats import usd_exact
from agents.views.calls import finished_page, may_be_corrected


@form_only
@admin_required
def call_correct(request: OrgRequest, call_id: UUID) -> HttpResponse:
    """Book the difference to what the call was charged, with the reason."""
    entry = calls.find(request.org, call_id)
    if entry is None:
        raise Http404("There is no such call.")
    form = CorrectionForm(request.POST)
    if not may_be_corrected(entry):
        messages.error(request, "Only a charge at the ceiling or by estimate can be corrected.")
    elif not form.is_valid() or not _correct(request, call_id, form):
        return finished_page(request, entry, form)
    return redirect("agents:call_detail", call_id)


def _correct(request: OrgRequest, call_id: UUID, form: CorrectionForm) -> bool:
    cost_pico, reason = form.cleaned_data["cost"], form.cleaned_data["reason"]
    try:
        correct(request.org, call_id, cost_pico, reason, by=request.user)
    except BadBudget as bad:
        form.add_error("cost", bad.problem)
        return False
    except CannotCorrect as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, f"The call is booked at {usd_exact(cost_pico)}, on every budget that counted it.")
    return True
