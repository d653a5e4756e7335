"""Makes the pictures of the MLflow interface in docs/how-to/review.md.

    kedro run                                # drawn faces: nothing else may be shown here
    kedro run --params training.head.dropout=0.5
    kedro run --pipelines search,evaluation
    make ui &
    pip install playwright                   # in an environment of its own; Chromium must be there
    python docs/pictures/make.py http://127.0.0.1:5000

Needs Pillow.
"""

import io
import json
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER: Final = Path(__file__).parent
SIZE: Final = {"width": 1400, "height": 900}
# No chat panel in front of the runs.
STORED: Final = """
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
"""
# Where the project is on this machine is nobody's business.
CLEAN: Final = """
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  texts.currentNode.data = texts.currentNode.data.replace(/(file:\\/\\/)?\\/\\S*?\\/(mlruns|data)\\//, "$2/");
}
"""
MODE: Final = "workflowType=machine_learning"


def main(server: str) -> None:
    """Open the pages and keep what they show."""
    experiment = ask(server, "experiments/get-by-name?experiment_name=gender_pipeline")["experiment"]["experiment_id"]
    runs = ask(server, "runs/search", {"experiment_ids": [experiment], "filter": "attributes.status = 'FINISHED'"})
    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in runs["runs"]]
    ids = [run["info"]["run_id"] for run in runs["runs"]]
    whole = next(run_id for run_id, tag in zip(ids, tags, strict=True) if tag.get("pipelines") == "")
    version = ask(server, "model-versions/search", method="GET")["model_versions"][0]
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.add_init_script(STORED)
        keep(page, f"{server}/#/experiments/{experiment}/runs/{whole}?{MODE}", "run", more=True)
        keep(
            page, f"{server}/#/experiments/{experiment}/runs/{whole}/artifacts/evaluation/report.html?{MODE}", "report"
        )
        keep(page, f"{server}/#/experiments/{experiment}/runs?{MODE}&compareRunsMode=CHART", "charts", search="val_")
        keep(page, f"{server}/#/models/{version['name']}/versions/{version['version']}?{MODE}", "version")
        browser.close()


def ask(server: str, path: str, body: Any = None, method: str | None = None) -> Any:
    """Return what MLflow's REST interface answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server}/api/2.0/mlflow/{path}", data, headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 the address is the caller's
        return json.load(answer)


def keep(page: Page, address: str, name: str, *, more: bool = False, search: str = "") -> None:
    """Write a page's picture, in the 128 colours that an interface has."""
    page.goto(address)
    page.reload()  # the address differs after the # only: without this the page before would stay
    page.wait_for_timeout(8000)
    if more:
        page.get_by_text("Show more").first.click()
    if search:
        page.get_by_placeholder("Search metric charts").fill(search)
        page.wait_for_timeout(4000)
    page.evaluate(CLEAN)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(128).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
