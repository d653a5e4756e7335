"""Who may ask: the bearer token, the name the server is called by, and pages of other sites."""

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from gender_pipeline.serving.limits import RefusedError
from gender_pipeline.serving.settings import ServeSettings


def check_token(request: Request, settings: ServeSettings) -> None:
    """Check `Authorization: Bearer`.

    Raises:
        RefusedError: 401, a token is needed and this is not it.
    """
    if settings.token is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = settings.token.get_secret_value().encode()
    # In constant time: how long a comparison takes must not tell how much of a guess is right.
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected):
        raise RefusedError(401, "a token is needed", expected="the header Authorization: Bearer TOKEN")


def check_site(request: Request, settings: ServeSettings) -> None:
    """Keep pages of other sites out: a browser lets them send requests to any server its user can reach.

    The name in `Host` must be one of `allowed_hosts` (a page whose name is made to point at this machine still calls
    it by its own name), and what browsers say of where a request comes from must not name another site.

    Raises:
        RefusedError: 403.
    """
    host = request.headers.get("host", "")
    if settings.allowed_hosts and _name(host) not in settings.allowed_hosts:
        raise RefusedError(
            403,
            "the server is not called by one of its names",
            expected=f"the header Host to be one of {', '.join(settings.allowed_hosts)}",
            remedy="start the server with --allowed-host NAME",
        )
    origin = request.headers.get("origin")
    other = origin is not None and origin.lower().partition("://")[2] != host.lower()
    if request.method == "POST" and (other or request.headers.get("sec-fetch-site") in ("cross-site", "same-site")):
        raise RefusedError(403, "pages of other sites may not ask this server")


def _name(host: str) -> str:
    """Return the name of a `Host` header without port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that do not close
        return ""
