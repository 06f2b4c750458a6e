# One image for web, worker, beat and migrations; the servers are not in it.
FROM python:3.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SHREDDER_HOME=/var/lib/awx-shredder SHREDDER_STATIC_ROOT=/app/static-collected
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt

COPY . .
# Collecting files needs settings but no server and no real secret.
RUN SECRET_KEY=build SHREDDER_KEY_PEPPER=build SHREDDER_VAULT_KEYS=build \
    DATABASE_URL=postgres://build@localhost/build REDIS_URL=redis://localhost/0 \
    python manage.py collectstatic --no-input --verbosity 0 \
    && useradd --system --create-home --home-dir /var/lib/awx-shredder shredder
USER shredder

EXPOSE 8000
# Streams in flight get two minutes to end; the supervisor or the orchestrator must wait a little longer.
CMD ["uvicorn", "shredder.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", \
     "--no-access-log", "--no-server-header", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "120"]
