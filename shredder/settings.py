"""Settings of the whole installation; values come from the environment (docs/operations.md)."""

from urllib.parse import urlsplit

import sentry_sdk
from django.utils.csp import CSP

from shredder import env
from shredder.embedded.home import CHECKOUT, home_folder
from shredder.logs import configuration

BASE_DIR = CHECKOUT
SHREDDER_HOME = home_folder()

# Where and for whom
SITE_URL = env.site_url()
_HTTPS = SITE_URL.startswith("https://")
_HOST = urlsplit(SITE_URL).hostname or "localhost"
DEBUG = False
ALLOWED_HOSTS = [_HOST, "127.0.0.1", "localhost", "[::1]", *env.env.list("SHREDDER_ALLOWED_HOSTS", [])]
CSRF_TRUSTED_ORIGINS = [SITE_URL]

# Secrets
SECRET_KEY = env.secret("SECRET_KEY", SITE_URL)
SHREDDER_KEY_PEPPER = env.secret("SHREDDER_KEY_PEPPER", SITE_URL)
SHREDDER_VAULT_KEYS = env.secret("SHREDDER_VAULT_KEYS", SITE_URL).split(",")

# What this installation does
SHREDDER_ROLE = env.choice("SHREDDER_ROLE", ("all", "web", "proxy"))
SHREDDER_SIGNUP = env.choice("SHREDDER_SIGNUP", ("open", "invite", "closed"))
SHREDDER_OPENAI_BASE_URL = env.env.str("SHREDDER_OPENAI_BASE_URL", "")
SHREDDER_ANTHROPIC_BASE_URL = env.env.str("SHREDDER_ANTHROPIC_BASE_URL", "")
SHREDDER_GEMINI_BASE_URL = env.env.str("SHREDDER_GEMINI_BASE_URL", "")
SHREDDER_ALLOW_PRIVATE_UPSTREAMS = env.switch("SHREDDER_ALLOW_PRIVATE_UPSTREAMS")
# Time-outs of provider calls where they differ from the defaults, such as "connect=2,total=60" (docs/proxy.md).
SHREDDER_PROXY_SECONDS: dict[str, float] = env.seconds("SHREDDER_PROXY_SECONDS")
SHREDDER_METRICS_TOKEN = env.env.str("SHREDDER_METRICS_TOKEN", "")

# Code
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "accounts",
    "agents",
    "alerts",
    "shredder",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "shredder.urls"
ASGI_APPLICATION = "shredder.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Servers
DATABASES = {"default": env.database(pool_size=env.number("SHREDDER_DB_POOL", 0))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.redis_url()
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
MAILERS = {"default": env.mailer(SHREDDER_HOME)}
DEFAULT_FROM_EMAIL = env.env.str("DEFAULT_FROM_EMAIL", f"AWX Shredder <no-reply@{_HOST}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Files
STATIC_URL = "/static/"
STATIC_ROOT = env.env.path("SHREDDER_STATIC_ROOT", SHREDDER_HOME / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Language and time: money days follow the organisation's zone, everything stored is UTC.
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

# Browser
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 14 * 86_400  # seconds
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # bytes; pages take forms only, the proxy reads its own bodies
# The front proxy turns http into https; doing it here too would break its health checks.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]

# People
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
MFA_ADAPTER = "accounts.adapters.MfaAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60  # seconds, as the mail says
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 10 * 60  # seconds; long enough to fetch a key and fill a form in
MFA_TOTP_ISSUER = "AWX Shredder"

# Watching
SHREDDER_LOG_LEVEL = env.choice("SHREDDER_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))
LOGGING = configuration(SHREDDER_LOG_LEVEL)
if _SENTRY_DSN := env.env.str("SENTRY_DSN", ""):
    # Local variables and bodies may hold keys and prompts: neither ever leaves.
    sentry_sdk.init(_SENTRY_DSN, send_default_pii=False, include_local_variables=False, max_request_body_size="never")
