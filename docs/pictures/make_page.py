"""Makes the picture of the server's page in docs/how-to/serve.md.

    gender-pipeline serve &
    python docs/pictures/make_page.py http://127.0.0.1:8080 PHOTO PHOTO

The two photos become one. Only photos that may be shown: drawn ones, or CC0. Needs Pillow,
playwright and Chromium.
"""

import io
import shutil
import sys
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE: Final = Path(__file__).with_name("page.png")
SIDE_PX: Final = 512


def main(server: str, *photos: str) -> None:
    """Let the page answer the photos side by side, show what the network looked at, and keep the picture."""
    both = Image.new("RGB", (SIDE_PX * len(photos), SIDE_PX))
    for place, photo in enumerate(photos):
        both.paste(Image.open(photo).resize((SIDE_PX, SIDE_PX)), (SIDE_PX * place, 0))
    file = io.BytesIO()
    both.save(file, "JPEG", quality=95)
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.goto(server)
        page.set_input_files("#files", [{"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}])
        page.locator(".look").last.click()
        page.locator("figure").last.wait_for()
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
        browser.close()
    picture.quantize(256, kmeans=3).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
