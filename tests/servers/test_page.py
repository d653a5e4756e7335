"""The server's page in Debian's Chromium: the real server, a network whose answer can be worked out by hand."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

from drawn_faces import encoded, face, group
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.serving.app import create_app
from gender_pipeline.serving.models import ModelHolder, ServedModel
from gender_pipeline.serving.settings import ServeSettings
from local_servers import free_port

pytestmark = pytest.mark.servers

TOKEN = "correct-horse-battery"  # noqa: S105
FACES_AT = ((80, 60), (500, 250))
LOOK = re.compile("What the network looked at")


def by_upper_left(pixels: np.ndarray) -> np.ndarray:
    """Answer (n, S, S, 3) by the light of the quarter at the upper left."""
    side = pixels.shape[1] // 2
    light = pixels[:, :side, :side].mean(axis=(1, 2, 3)) / 255
    return np.stack([light, 0.7 * (1 - light), 0.3 * (1 - light)], axis=1).astype(np.float32)


@contextmanager
def served(**settings: object) -> Iterator[str]:
    """Serve the network on this machine; give the page's address."""
    predictor = Predictor(by_upper_left, ("bright", "dark", "grey"), 32, crop="face")
    models = ModelHolder(lambda _: ServedModel(predictor, "lamp", "7"))
    models.load_first()
    port = free_port()
    app = create_app(models, ServeSettings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Browser]]:
    """Give a starter of Chromium, or skip."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as browsers:

        def start(*options: str) -> Browser:
            return browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox", *options])

        yield start


@pytest.fixture(scope="module")
def browser(launch) -> Iterator[Browser]:
    started = launch()
    yield started
    started.close()


@contextmanager
def visited(browser: Browser, address: str, *, refusals: bool = False, **options: object) -> Iterator[Page]:
    """Open the page; in the end no script has failed, nothing was blocked, and no other host was asked."""
    page = browser.new_page(**options)
    page.set_default_timeout(10_000)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page
    page.close()
    # Chromium itself writes a line for each answer that is no success.
    assert [text for text in complaints if not (refusals and text.startswith("Failed to load resource"))] == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    with visited(browser, address) as page:
        yield page


@pytest.fixture
def refused_page(browser, address) -> Iterator[Page]:
    """Give a page on which requests may be refused."""
    with visited(browser, address, refusals=True) as page:
        yield page


def choose(page: Page, *photos: bytes, name: str = "photo.jpg") -> Locator:
    """Choose files; give the articles of the answers, the newest first."""
    page.set_input_files("#files", [{"name": name, "mimeType": "image/jpeg", "buffer": photo} for photo in photos])
    return page.get_by_role("article")


def transfer(page: Page, photo: bytes, kind: str = "image/png") -> object:
    """Make what a drop or a paste carries."""
    return page.evaluate_handle(
        """([bytes, type]) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], "carried.png", { type }));
            return carried;
        }""",
        [list(photo), kind],
    )


def pixel(canvas: Locator, x: float, y: float) -> list[int]:
    """Return the RGB that a canvas shows at (x, y), in its own pixels."""
    drawn = canvas.evaluate("(canvas, at) => [...canvas.getContext('2d').getImageData(...at, 1, 1).data]", [x, y])
    return drawn[:3]


def lit_upper_left() -> Image.Image:
    """Draw a dark photo with light at the upper left."""
    photo = Image.new("RGB", (320, 320), (60, 60, 60))
    photo.paste((255, 255, 255), (0, 0, 100, 100))
    return photo


def boxes(article: Locator) -> list[list[int]]:
    """Return (width, height, x, y) of each face as the cards say it."""
    return [
        [int(number) for number in re.findall(r"\d+", text)] for text in article.locator(".place").all_inner_texts()
    ]


def test_the_page_says_which_model_answers_what_a_label_means_and_that_photos_are_not_stored(page) -> None:
    expect(page.get_by_text("Model lamp, version 7")).to_be_visible()
    note = page.get_by_role("complementary", name="What the label means")
    expect(note).to_contain_text("an annotation of apparent gender, not a person\u2019s identity")
    expect(note).to_contain_text("Photos are not stored")


def test_a_chosen_photo_is_shown_with_a_numbered_box_and_a_card_for_each_face(page) -> None:
    article = choose(page, encoded(group(FACES_AT)))
    expect(article.get_by_role("heading", level=3)).to_have_count(2)
    expect(article.get_by_role("heading", level=3).first).to_contain_text("Face 1: ")
    expect(article.get_by_role("meter")).to_have_count(6)
    shares = [float(text.strip(" %")) for text in article.locator("ul b").all_inner_texts()]
    assert sum(shares[:3]) == pytest.approx(100, abs=0.2)
    assert shares[:3] == sorted(shares[:3], reverse=True)
    canvas = article.locator("> canvas")
    for width, height, x, y in boxes(article):
        assert pixel(canvas, x + width, y + height // 2) == [255, 255, 255]
        assert pixel(canvas, x + 3, y + 3) == [16, 24, 32]  # behind the number


def test_the_answer_is_announced_and_the_boxes_have_words(page) -> None:
    article = choose(page, encoded(group(FACES_AT)), name="two.jpg")
    expect(page.get_by_role("status")).to_have_text(re.compile(r"two.jpg: 2 faces. Face 1: \w+, [\d.]+ %; Face 2: "))
    expect(article.get_by_role("img")).to_have_accessible_name(re.compile(r"The photo. 2 faces. Face 1: "))
    expect(article.locator(".place").first).to_have_text(
        re.compile(r"^\d+ \S \d+ px, \d+ px from the left, \d+ px from")
    )


def test_boxes_lie_on_the_upright_photo(page) -> None:
    upright = group(FACES_AT[:1])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned by 90 degrees
    article = choose(page, encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif))
    expect(article.get_by_role("meter")).to_have_count(3)
    canvas = article.locator("> canvas")
    assert canvas.evaluate("canvas => [canvas.width, canvas.height]") == [900, 600]
    ((width, height, x, y),) = boxes(article)
    assert 80 < x < 280
    assert pixel(canvas, x + width, y + height // 2) == [255, 255, 255]


def test_a_large_photo_is_drawn_smaller_and_its_boxes_with_it(page) -> None:
    article = choose(page, encoded(group(FACES_AT, side_px=200).resize((2700, 1800))))
    expect(article.get_by_role("meter")).to_have_count(6)
    canvas = article.locator("> canvas")
    assert canvas.evaluate("canvas => [canvas.width, canvas.height]") == [1280, 853]
    width, height, x, y = boxes(article)[0]
    scale = 1280 / 2700
    assert pixel(canvas, round((x + width) * scale), round((y + height / 2) * scale)) == [255, 255, 255]


def test_photos_are_answered_one_after_the_other_and_can_be_removed(page) -> None:
    articles = choose(page, *[encoded(face(seed, 300)) for seed in (0, 1, 3)])
    expect(articles).to_have_count(3)
    expect(articles.get_by_role("meter")).to_have_count(9)
    page.get_by_role("button", name="Remove all answers").click()
    expect(articles).to_have_count(0)


def test_a_photo_can_be_dropped(page) -> None:
    carried = transfer(page, encoded(face(0, 300), "PNG"))
    page.dispatch_event("#choose", "dragover", {"dataTransfer": carried})
    expect(page.locator("#choose")).to_have_class("over")
    page.dispatch_event("#choose", "drop", {"dataTransfer": carried})
    expect(page.get_by_role("heading", name="carried.png")).to_be_visible()
    expect(page.get_by_role("meter")).to_have_count(3)
    expect(page.locator("#choose")).not_to_have_class("over")


def test_a_photo_can_be_pasted(page) -> None:
    carried = transfer(page, encoded(face(0, 300), "PNG"))
    page.evaluate("clipboardData => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData }))", carried)
    expect(page.get_by_role("meter")).to_have_count(3)


def test_a_drop_without_a_file_is_answered_in_words(page) -> None:
    page.dispatch_event("body", "drop", {"dataTransfer": page.evaluate_handle("new DataTransfer()")})
    expect(page.get_by_role("status")).to_have_text("There was no file in that. Choose, drop or paste photos.")


def test_what_is_no_photo_is_said_in_words(refused_page) -> None:
    choose(refused_page, b"Dear diary", name="diary.txt")
    expect(refused_page.get_by_role("alert")).to_contain_text("The photo cannot be decoded")
    expect(refused_page.get_by_role("alert")).to_contain_text("not an image")


def test_a_photo_without_a_face_can_be_answered_as_it_is(page) -> None:
    article = choose(page, encoded(Image.new("RGB", (300, 200), "white")))
    expect(page.get_by_role("alert")).to_contain_text("No face was found. Choose a photo in which a face is upright")
    page.get_by_role("checkbox", name="The photo is a face crop already").check()
    article.get_by_role("button", name="Try again").click()
    expect(article.get_by_role("heading", level=3)).to_have_text("bright")
    expect(article.locator("ul b").first).to_have_text("100.0 %")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_file_names_are_text(page) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    choose(page, encoded(face(0, 300)), name=name)
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator("img")).to_have_count(0)


def test_the_heat_map_shows_what_the_answer_hangs_on(page) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "heat-map" in request.url else None)
    page.get_by_role("checkbox").check()
    article = choose(page, encoded(lit_upper_left()))
    button = article.get_by_role("button", name=LOOK)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("status")).to_contain_text("Covering the bright parts makes “bright” less probable")
    canvas = article.locator("figure canvas")
    expect(canvas).to_have_accessible_name(re.compile("^Heat map over the photo. "))
    button.click()
    expect(canvas).to_be_hidden()
    button.click()
    expect(canvas).to_be_visible()
    assert len(asked) == 1
    assert asked[0].endswith("face=0&crop=none")


def test_the_heat_map_is_bright_where_it_matters(page) -> None:
    page.get_by_role("checkbox").check()
    article = choose(page, encoded(lit_upper_left()))
    page.route("**/heat-map*", lambda route: route.fulfill(json=_heat_map(lambda row, column: row == column == 1)))
    article.get_by_role("button", name=LOOK).click()
    expect(article.locator(".words")).to_contain_text("most of all at the top left")
    canvas = article.locator("figure canvas")
    assert sum(pixel(canvas, 45, 45)) > 600  # of 240
    assert sum(pixel(canvas, 200, 200)) < 200


def test_a_photo_on_which_no_part_matters_says_so(page) -> None:
    article = choose(page, encoded(face(0, 300)))
    page.route("**/heat-map*", lambda route: route.fulfill(json=_heat_map(lambda *_: False)))
    article.get_by_role("button", name=LOOK).click()
    expect(article.locator(".words")).to_contain_text("No single part matters")


def _heat_map(hot: Callable[[int, int], bool]) -> dict[str, object]:
    grid = [[float(hot(row, column)) for column in range(8)] for row in range(8)]
    return {"grid": grid, "box": None, "label": "dark", "probability": 0.6}


def test_a_heat_map_that_cannot_be_had_is_said_beside_its_button(refused_page) -> None:
    article = choose(refused_page, encoded(face(0, 300)))
    refused_page.route("**/heat-map*", lambda route: route.fulfill(status=503, json={"error": "too much to do"}))
    article.get_by_role("button", name=LOOK).click()
    expect(refused_page.get_by_role("alert")).to_have_text(
        "The server is busy: too much to do. Wait a moment, then try again."
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda route: route.fulfill(status=503, json={"error": "too many requests"}), "The server is busy"),
        (lambda route: route.fulfill(status=500, body="<p>oops"), "The server answered 500"),
        (lambda route: route.abort(), "There is no connection to the server"),
    ],
)
def test_after_a_failure_one_can_try_again(refused_page, answer: Callable[[Route], None], words: str) -> None:
    refused_page.route("**/predict*", answer)
    article = choose(refused_page, encoded(face(0, 300)))
    expect(refused_page.get_by_role("alert")).to_contain_text(words)
    refused_page.unroute("**/predict*")
    article.get_by_role("button", name="Try again").click()
    expect(article.get_by_role("meter")).to_have_count(3)
    expect(refused_page.get_by_role("alert")).to_be_hidden()


def test_everything_can_be_done_with_the_keyboard(page) -> None:
    page.on("filechooser", lambda _: None)  # from now on none is opened for real
    page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    outline = page.locator("#choose").evaluate("button => getComputedStyle(button).outlineStyle")
    assert outline == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": encoded(face(0, 300))})
    expect(page.get_by_role("meter")).to_have_count(3)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Remove all answers")).to_be_focused()
    page.keyboard.press("Tab")
    look = page.get_by_role("button", name=LOOK)
    expect(look).to_be_focused()
    page.keyboard.press("Space")
    expect(look).to_have_attribute("aria-pressed", "true")
    expect(look).to_be_focused()


def test_screen_readers_find_landmarks_names_and_roles(page) -> None:
    article = choose(page, encoded(face(0, 300)), name="ada.jpg")
    expect(article.get_by_role("meter")).to_have_count(3)
    expect(page.locator("body")).to_match_aria_snapshot("""
        - banner:
          - heading "What would an annotator say?" [level=1]
        - main:
          - complementary "What the label means"
          - region "Photos":
            - button /Choose photos/
            - checkbox "The photo is a face crop already"
            - button "Remove all answers"
            - status
          - region "Answers":
            - article:
              - heading "ada.jpg" [level=2]
              - img /The photo/
              - list:
                - listitem:
                  - heading /Face 1/ [level=3]
                  - list "Probabilities":
                    - listitem:
                      - meter
                  - button "What the network looked at"
    """)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_legible(browser, address, scheme) -> None:
    with visited(browser, address, viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        article = choose(page, encoded(group(FACES_AT)), name="a" * 80)
        article.get_by_role("button", name=LOOK).first.click()
        expect(article.locator("figure canvas").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for text in ("h1", "h2", "#model", "aside p", "#choose small", ".place", ".words", ".look >> nth=0", "#status"):
            assert contrast(page.locator(text).first) >= 4.5, text  # WCAG 2, level AA


def contrast(element: Locator) -> float:
    """Return the contrast of an element's text with what is behind it, in [1, 21]."""
    colours = element.evaluate("""element => {
        const text = getComputedStyle(element).color;
        while (getComputedStyle(element).backgroundColor === "rgba(0, 0, 0, 0)") element = element.parentElement;
        return [text, getComputedStyle(element).backgroundColor].map(colour => colour.match(/[0-9.]+/g).map(Number));
    }""")
    lights = sorted(float(np.dot(_linear(colour[:3]), [0.2126, 0.7152, 0.0722])) for colour in colours)
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _linear(colour: list[float]) -> np.ndarray:
    shares = np.array(colour) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def test_a_token_is_asked_for_only_where_the_server_wants_one_and_is_not_kept(browser, page) -> None:
    field = page.get_by_label("This server asks for a token")
    expect(page.get_by_text("Model lamp")).to_be_visible()
    expect(field).to_be_hidden()
    with served(token=TOKEN) as address, visited(browser, address, refusals=True) as guarded:
        field = guarded.get_by_label("This server asks for a token")
        article = choose(guarded, encoded(face(0, 300)))
        field.fill("wrong")
        guarded.keyboard.press("Enter")
        expect(guarded.get_by_role("status")).to_have_text(re.compile("The server does not accept this token"))
        field.fill(TOKEN)
        guarded.keyboard.press("Enter")
        expect(article.get_by_role("meter")).to_have_count(3)
        expect(guarded.get_by_text("Model lamp, version 7")).to_be_visible()
        expect(field).to_be_hidden()
        assert guarded.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        guarded.reload()
        expect(field).to_be_visible()


def test_a_photo_above_the_servers_limit_is_said_in_words(browser) -> None:
    with served(max_file_bytes=100_000) as address, visited(browser, address, refusals=True) as page:
        choose(page, bytes(2_000_000))
        expect(page.get_by_role("alert")).to_contain_text("too large; expected at most 100000 bytes")


def test_the_camera_takes_a_photo_and_is_stopped(launch, address) -> None:
    browser = launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with visited(browser, address) as page:
        page.get_by_role("button", name="Use the camera").click()
        expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
        track = page.evaluate_handle("document.querySelector('video').srcObject.getTracks()[0]")
        assert track.evaluate("track => track.readyState") == "live"
        page.keyboard.press("Enter")
        article = page.get_by_role("article")
        expect(article.get_by_role("heading", name="Photo of the camera")).to_be_visible()
        expect(article.get_by_role("alert").first).to_contain_text("No face was found")  # in Chromium's test picture
        assert track.evaluate("track => track.readyState") == "ended"
        expect(page.get_by_role("button", name="Use the camera")).to_be_focused()
    browser.close()


def test_a_camera_that_is_not_allowed_is_said_in_words(launch, address) -> None:
    browser = launch("--use-fake-device-for-media-stream")  # headless, nobody allows it
    with visited(browser, address) as page:
        page.get_by_role("button", name="Use the camera").click()
        expect(page.get_by_role("status")).to_contain_text("The camera was not allowed. Allow it for this page")
        expect(page.get_by_role("button", name="Choose photos")).to_be_visible()
    browser.close()


def test_no_camera_is_offered_where_there_is_none(page) -> None:
    expect(page.get_by_text("Model lamp")).to_be_visible()
    expect(page.get_by_role("button", name="Use the camera")).to_be_hidden()
