"""Data Docs that open without the internet and tell nobody that they were opened.

Great Expectations' pages take styles, status signs and the table of their index from content networks, and their logo
from an address that carries the project's id. The logo goes; what is written here makes the pages readable without
the others, which stay for those who are online.
"""

import html
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

DATA_DOCS: Final = "data_docs"
ONE_PAGE: Final = f"{DATA_DOCS}/data_docs.html"
SITE_NAME: Final = "photos"
SITE: Final = {
    "class_name": "SiteBuilder",
    "show_how_to_buttons": False,
    "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": f"{DATA_DOCS}/"},
}
# Great Expectations puts this file of a project into each page.
STYLES_FILE: Final = "plugins/custom_data_docs/styles/data_docs_custom_styles.css"
STYLES: Final = """
body { font-family: sans-serif; margin: 0 1rem; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #ccc; padding: 0.2rem 0.8rem; text-align: left; vertical-align: top; }
.fa-check-circle::before { content: "\\2713"; }
.fa-times::before { content: "\\2717"; }
.text-success { color: #28a745; }
.text-danger { color: #dc3545; }
footer { display: none; }
"""
_FOLDED: Final = """
summary { cursor: pointer; font-size: 1.1rem; padding: 0.4rem 0; }
iframe { border: 1px solid #ccc; height: 75vh; width: 100%; }
"""
_LOGO: Final = re.compile(rb'<img\s+class="NO-CACHE".*?/>', re.DOTALL)
_CONTENT: Final = b'<div class="container-fluid pt-4'


def finish_pages(files: Mapping[str, bytes], suites: Mapping[str, bool]) -> dict[str, bytes]:
    """Return the files of a Great Expectations project with pages that need no network, and `ONE_PAGE`.

    That one holds the results of all suites by itself: MLflow shows a page, but follows none of its links.

    Args:
        files: Content by path below the project's root, as Great Expectations wrote it.
        suites: Whether a suite passed, by name; the index gets a table of them in this order.
    """
    # The moving pictures (3 of 4 MB) belong to the walk-through that SITE switches off.
    kept = {path: content for path, content in files.items() if not path.endswith(".gif")}
    pages = {path: _LOGO.sub(b"", content) for path, content in kept.items() if path.endswith(".html")}
    index = f"{DATA_DOCS}/index.html"
    table = _table(suites, pages).encode()
    whole = {ONE_PAGE: _one_page(suites, pages).encode()}
    return {**kept, **pages, index: pages[index].replace(_CONTENT, table + _CONTENT, 1), **whole}


def _one_page(suites: Mapping[str, bool], pages: Mapping[str, bytes]) -> str:
    parts = [
        f"<details{'' if passed else ' open'}><summary>{html.escape(name)}: {_status('span', passed)}</summary>"
        f'<iframe loading="lazy" srcdoc="{html.escape(pages[_page_of(name, pages)].decode())}"></iframe></details>'
        for name, passed in suites.items()
    ]
    return (
        f'<!doctype html><meta charset="utf-8"><title>Data Docs</title><style>{STYLES}{_FOLDED}</style>'
        f"<h1>Data Docs</h1><p>Great Expectations' results, a suite each.</p>{''.join(parts)}"
    )


def _table(suites: Mapping[str, bool], pages: Mapping[str, bytes]) -> str:
    rows = "".join(_row(name, passed, pages) for name, passed in suites.items())
    return f'<table class="table"><tr><th>Expectation suite</th><th>Status</th></tr>{rows}</table>'


def _row(name: str, passed: bool, pages: Mapping[str, bytes]) -> str:
    page = _page_of(name, pages).removeprefix(f"{DATA_DOCS}/")
    return f'<tr><td><a href="{quote(page)}">{html.escape(name)}</a></td>{_status("td", passed)}</tr>'


def _page_of(name: str, pages: Mapping[str, bytes]) -> str:
    # A dot in a suite's name makes a folder.
    folder = f"{DATA_DOCS}/validations/{name.replace('.', '/')}/"
    return next(path for path in pages if path.startswith(folder))


def _status(element: str, passed: bool) -> str:
    colour, word = ("success", "passed") if passed else ("danger", "failed")
    return f'<{element} class="text-{colour}">{word}</{element}>'
