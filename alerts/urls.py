"""Addresses of the alerts' pages."""

from django.urls import path

from alerts import views

app_name = "alerts"

urlpatterns = [
    path("alerts/", views.alert_list, name="alert_list"),
    path("alerts/test/", views.send_test, name="send_test"),
]
