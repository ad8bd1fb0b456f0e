"""Turn sweeps and batches into a page of HTML: one file, without a network and readable without its script.

Every value is escaped by Jinja2, and control characters in it are made visible. The style and the script are
the only code of the page, and its Content-Security-Policy names them by their digests.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from resumectl.report.page.batch_page import BatchPage
from resumectl.report.page.crash_map import SIGNS
from resumectl.report.page.drawing import AXIS_PX, ROW_PX, TOP_PX, WIDTH_PX, Shape
from resumectl.report.page.sweep_page import SweepPage
from resumectl.report.page.timeline import ArrowKind, BarKind, MarkKind
from resumectl.text import literal

# Shape of each mark, around its place.
_SIGN_PATHS = {
    MarkKind.COMMITTED: "M0-6V6",
    MarkKind.REPLAYED: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
    MarkKind.EFFECT: "M0-6L5 0L0 6L-5 0Z",
    MarkKind.FINDING: "M-6-6H6L0 4Z",
}
_BARS = {
    BarKind.EXECUTED: "step executed",
    BarKind.REPEATED: "executed again",
    BarKind.INTERRUPTED: "interrupted by the kill",
    BarKind.ALIVE: "workflow",
    BarKind.BASELINE: "baseline",
}
_MARKS = {
    MarkKind.COMMITTED: "commit",
    MarkKind.REPLAYED: "answered from its record",
    MarkKind.EFFECT: "effect",
    MarkKind.FINDING: "differs from the baseline, or breaks a promise",
}
_LINES = {
    ArrowKind.REPETITION: "runs again",
    ArrowKind.RECOVERY: "recovery, from the launch",
    ArrowKind.CHILD: "starts a child",
    ArrowKind.MESSAGE: "sends a message",
    Shape.KILL: "kill",
}


def page_html(pages: Sequence[SweepPage | BatchPage]) -> str:
    """Return the page as HTML.

    Args:
        pages: What it shows of each sweep or batch.
    """
    style, script = _source("style.css"), _source("script.js")
    return _environment().get_template("page.html.j2").render(
        pages=pages,
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("resumectl.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.update(
        legend=[(sign, verdict) for verdict, sign in SIGNS.items()],
        signs={str(kind): path for kind, path in _SIGN_PATHS.items()},
        bars=list(_BARS.items()),
        marks=list(_MARKS.items()),
        lines=list(_LINES.items()),
        width=WIDTH_PX,
        top=TOP_PX,
        row=ROW_PX,
        axis=AXIS_PX,
    )
    return environment


def _shown(value: object) -> object:
    """Return a value with its control characters made visible; markup of the templates as it is."""
    return literal(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
