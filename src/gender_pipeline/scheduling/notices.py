"""Telling somebody how a run ended: a command of the user's, and a webhook."""

import json
import logging
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from pydantic import field_validator

from gender_pipeline.schema import Settings

Occasion = Literal["failed", "promoted", "not_promoted"]
PREFIX: Final = "GENDER_PIPELINE_"
_COMMAND_SECONDS: Final = 60
_WEBHOOK_SECONDS: Final = 10
_CREDENTIALS: Final = re.compile(r"^([\w+.-]+://)[^/?#]*@")
_log: Final = logging.getLogger(__name__)


class NotifySettings(Settings):
    """Who is told what.

    Attributes:
        command: Program and arguments, run without a shell in the project's folder; none tells nobody.
        webhook: http or https address; none tells nobody.
        when: What is told. `promoted` and `not_promoted` say whether the version of a whole run holds `production`.
    """

    command: tuple[str, ...] = ()
    webhook: str | None = None
    when: tuple[Occasion, ...] = ("failed", "promoted", "not_promoted")

    @field_validator("webhook")
    @classmethod
    def _is_web(cls, address: str | None) -> str | None:
        if address and (urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname):
            # Without the value: the address of a webhook is a secret.
            raise ValueError("expected an address that begins with http:// or https://")
        return address or None


def notify(settings: NotifySettings, event: Mapping[str, Any], project: Path) -> None:
    """Tell an event to the command and to the webhook; what goes wrong there is a warning.

    Args:
        settings: Who is told what.
        event: JSON values; `what` is one of `settings.when`, or nobody is told.
        project: Where the command runs.
    """
    if event["what"] not in settings.when:
        return
    for name, tell in (("command", _call), ("webhook", _post)):
        if getattr(settings, name):
            try:
                tell(settings, event, project)
            # OSError: no such program, no such server, an answer that is none. The run's own end matters more.
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                _log.warning("The %s of `notify` failed: %s", name, _reason(error))


def without_credentials(address: str) -> str:
    """Return a URL without user name and password."""
    return _CREDENTIALS.sub(r"\1", address)


def _call(settings: NotifySettings, event: Mapping[str, Any], project: Path) -> None:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in event.items()}
    variables = {f"{PREFIX}{name.upper()}": text for name, text in texts.items()}
    subprocess.run(  # noqa: S603 the user's own words, and no shell
        settings.command,
        input=json.dumps(event).encode(),
        stdout=subprocess.DEVNULL,
        cwd=project,
        env=os.environ | variables,
        timeout=_COMMAND_SECONDS,
        check=True,
    )


def _post(settings: NotifySettings, event: Mapping[str, Any], project: Path) -> None:  # noqa: ARG001 called as `_call`
    request = Request(  # noqa: S310 the settings allow http and https only
        str(settings.webhook), json.dumps(event).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urlopen(request, timeout=_WEBHOOK_SECONDS):  # noqa: S310
        pass


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took more than {_COMMAND_SECONDS} s"
    return " ".join(str(error).split()) or type(error).__name__
