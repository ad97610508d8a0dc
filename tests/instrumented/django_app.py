"""A shop on Django with django-prometheus, around the requests and around its database. `django_app.py PORT`."""

from __future__ import annotations

import sys
import time

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

AROUND = "django_prometheus.middleware.Prometheus{}Middleware"


def orders(request: HttpRequest, number: int) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("select %s", [number])
        return JsonResponse({"number": cursor.fetchone()[0]})


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(0.3)
    return JsonResponse({})


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=503)


def raises(request: HttpRequest) -> HttpResponse:
    raise ValueError("nobody expected that")


urlpatterns = [
    path("orders/<int:number>", orders),
    path("slow", slow),
    path("broken", broken),
    path("raises", raises),
    path("", include("django_prometheus.urls")),
]

if __name__ == "__main__":
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY="for a test",
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=["django_prometheus"],
        MIDDLEWARE=[AROUND.format("Before"), AROUND.format("After")],
        DATABASES={"default": {"ENGINE": "django_prometheus.db.backends.sqlite3", "NAME": ":memory:"}},
    )
    django.setup()
    execute_from_command_line(["shop", "runserver", "--noreload", "--skip-checks", f"127.0.0.1:{sys.argv[1]}"])
