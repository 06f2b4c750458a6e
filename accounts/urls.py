"""Addresses of people, their organisation and its settings."""

from django.urls import path

from accounts.views import custom_providers, further_keys, profile, providers, public, settings

app_name = "accounts"

urlpatterns = [
    path("", public.home, name="home"),
    path("theme/", public.theme, name="theme"),
    path("settings/", settings.organization, name="settings"),
    path("settings/members/", settings.members, name="members"),
    path("settings/audit/", settings.audit, name="audit"),
    path("settings/providers/", providers.provider_list, name="providers"),
    path("settings/providers/new/", custom_providers.provider_new, name="provider_new"),
    path("settings/providers/<slug:provider>/keys/new/", further_keys.key_new, name="further_key_new"),
    path(
        "settings/providers/<slug:provider>/keys/<uuid:credential_id>/",
        further_keys.key_replace,
        name="further_key_replace",
    ),
    path(
        "settings/providers/<slug:provider>/keys/<uuid:credential_id>/disconnect/",
        further_keys.key_disconnect,
        name="further_key_disconnect",
    ),
    path("settings/providers/<slug:provider>/", providers.provider_connect, name="provider_connect"),
    path("settings/providers/<slug:provider>/disconnect/", providers.provider_disconnect, name="provider_disconnect"),
    path("profile/", profile.profile, name="profile"),
]
