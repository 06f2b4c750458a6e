"""Addresses of the agents' pages."""

from django.urls import path

from agents.views import (
    agent_detail,
    agent_guards,
    agent_keys,
    agent_new,
    agent_pins,
    budget_change,
    budget_lists,
    call_correction,
    calls,
    onboarding,
    organization_keys,
    overview,
    rates,
    stop,
    waiting,
)

app_name = "agents"

urlpatterns = [
    path("welcome/", onboarding.welcome, name="onboarding"),
    path("overview/", overview.overview, name="overview"),
    path("agents/", overview.agent_list, name="agent_list"),
    path("agents/stop/", stop.stop_all, name="stop_all"),
    path("agents/new/", agent_new.agent_new, name="agent_new"),
    path("agents/<uuid:agent_id>/", agent_detail.agent_detail, name="agent_detail"),
    path("agents/<uuid:agent_id>/waiting/", waiting.waiting, name="agent_waiting"),
    path("agents/<uuid:agent_id>/limit/", agent_detail.agent_limit, name="agent_limit"),
    path("agents/<uuid:agent_id>/rename/", agent_detail.agent_rename, name="agent_rename"),
    path("agents/<uuid:agent_id>/pause/", agent_detail.agent_pause, name="agent_pause"),
    path("agents/<uuid:agent_id>/stop/", stop.agent_stop, name="agent_stop"),
    path("agents/<uuid:agent_id>/resume/", agent_detail.agent_resume, name="agent_resume"),
    path("agents/<uuid:agent_id>/budgets/", budget_lists.agent_budgets, name="agent_budgets"),
    path("agents/<uuid:agent_id>/guards/", agent_guards.agent_guards, name="agent_guards"),
    path("agents/<uuid:agent_id>/provider-keys/", agent_pins.agent_pins, name="agent_pins"),
    path("agents/<uuid:agent_id>/keys/new/", agent_keys.key_new, name="key_new"),
    path("agents/<uuid:agent_id>/keys/<int:key_id>/revoke/", agent_keys.key_revoke, name="key_revoke"),
    path("budgets/<int:budget_id>/", budget_change.budget_detail, name="budget_detail"),
    path("budgets/<int:budget_id>/top-up/", budget_change.budget_top_up, name="budget_top_up"),
    path("budgets/<int:budget_id>/end/", budget_change.budget_end, name="budget_end"),
    path("calls/", calls.call_list, name="call_list"),
    path("calls/<uuid:call_id>/", calls.call_detail, name="call_detail"),
    path("calls/<uuid:call_id>/correct/", call_correction.call_correct, name="call_correct"),
    path("settings/budgets/", budget_lists.organization_budgets, name="organization_budgets"),
    path("settings/keys/", organization_keys.key_list, name="organization_keys"),
    path("settings/keys/new/", organization_keys.key_new, name="organization_key_new"),
    path("settings/keys/new-agents/", organization_keys.new_agents, name="new_agents"),
    path(
        "settings/keys/<int:organization_key_id>/revoke/",
        organization_keys.key_revoke,
        name="organization_key_revoke",
    ),
    path("settings/rates/", rates.rate_list, name="rates"),
    path("settings/rates/<uuid:rate_id>/end/", rates.rate_end, name="rate_end"),
    path("settings/rates/<uuid:rate_id>/reprice/", rates.rate_reprice, name="rate_reprice"),
]
