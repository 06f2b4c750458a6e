"""Addresses of people, their organisation and its settings."""

from django.urls import path

from accounts.views import profile, providers, public, settings

app_name = "accounts"

urlpatterns = [
    path("", public.home, name="home"),
    path("theme/", public.theme, name="theme"),
    path("settings/", settings.organization, name="settings"),
    path("settings/members/", settings.members, name="members"),
    path("settings/audit/", settings.audit, name="audit"),
    path("settings/providers/", providers.provider_list, name="providers"),
    path("settings/providers/<slug:provider>/", providers.provider_connect, name="provider_connect"),
    path("settings/providers/<slug:provider>/disconnect/", providers.provider_disconnect, name="provider_disconnect"),
    path("profile/", profile.profile, name="profile"),
]
