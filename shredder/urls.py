"""Every page's address."""

from django.urls import include, path

urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("agents.urls")),
    path("", include("alerts.urls")),
    path("accounts/", include("allauth.urls")),
]
