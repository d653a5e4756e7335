"""What is refused, and how."""

import io
import time
from collections.abc import Iterator
from threading import Event, Thread

import pytest
from PIL import Image

from gender_pipeline.serving.limits import Admission, RefusedError
from gender_pipeline.serving.settings import ServeSettings
from lamp_models import Serve, by_light, form, shade

PNG = {"content-type": "image/png"}
TOKEN = "a-secret-of-16-characters"  # noqa: S105


def noise(side_px: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((side_px, side_px), 80).save(file, "PNG")
    return file.getvalue()


def chunks(data: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_a_request_that_says_it_is_too_large_is_refused(serve: Serve) -> None:
    answer = serve(max_request_bytes=1000).post("/predict", content=noise(100), headers=PNG)
    assert (answer.status_code, answer.json()["expected"]) == (413, "at most 1000 bytes")


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=edge"])
def test_a_body_without_a_length_is_counted_as_it_comes(serve: Serve, kind: str) -> None:
    sent = []

    def body() -> Iterator[bytes]:
        head = b'--edge\r\ncontent-disposition: form-data; name="photos"; filename="a"\r\n\r\n'
        for chunk in chunks(head + bytes(100_000)):
            sent.append(chunk)
            yield chunk

    answer = serve(max_request_bytes=5000).post("/predict", content=body(), headers={"content-type": kind})
    assert (answer.status_code, answer.json()["received"]) == (413, "more than 5000 bytes")


def test_a_photo_that_is_too_large_is_refused(serve: Serve) -> None:
    client = serve(max_file_bytes=1000)
    for answer in (
        client.post("/predict", content=noise(100), headers=PNG),
        client.post("/predict", files=form(shade(0), noise(100))),
    ):
        assert (answer.status_code, answer.json()["expected"]) == (413, "at most 1000 bytes")


def test_too_many_photos_are_refused(serve: Serve) -> None:
    answer = serve(max_files=2).post("/predict", files=form(shade(0), shade(1), shade(2)))
    assert (answer.status_code, answer.json()["error"]) == (413, "the form is too large")


def test_a_long_field_beside_the_photos_is_refused(serve: Serve) -> None:
    answer = serve().post("/predict", files=form(shade(0)), data={"note": "x" * 5000})
    assert answer.status_code == 413


def test_a_photo_of_too_many_pixels_is_never_decoded(serve: Serve) -> None:
    client = serve(max_pixels=99 * 99)
    answer = client.post("/predict", content=noise(100), headers=PNG)
    assert (answer.status_code, answer.json()["received"]) == (413, "too many pixels: 100 x 100")
    photos = client.post("/predict", files=form(noise(100), shade(0))).json()["photos"]
    assert [photo["problem"] for photo in photos] == ["too many pixels: 100 x 100", None]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"x", 415),
        ("", b"x", 415),
        ("application/x-www-form-urlencoded", b"photos=x", 415),
        ("multipart/form-data", b"x", 422),
        ("multipart/form-data; boundary=edge", b"no edge", 422),
        ("multipart/form-data; boundary=edge", b"--edge--\r\n", 422),
        ("multipart/form-data; boundary=edge", b"--edge\r\n\r\nx\r\n--edge--\r\n", 422),
        (
            "multipart/form-data; boundary=edge",
            b'--edge\r\ncontent-disposition: form-data; name="photos"\r\n\r\nx\r\n--edge--',
            422,
        ),
        ("image/png", b"", 422),
    ],
)
def test_a_body_that_holds_no_photo_is_refused(serve: Serve, kind: str, body: bytes, status: int) -> None:
    answer = serve().post("/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_body_that_does_not_come_in_time_is_refused(serve: Serve) -> None:
    def slow() -> Iterator[bytes]:
        yield b"x"
        time.sleep(0.3)
        yield b"x"

    answer = serve(upload_seconds=0.1).post("/predict", content=slow(), headers=PNG)
    assert answer.status_code in (408, 422)  # the test client hands a body over at once


def test_an_answer_that_takes_too_long_is_refused_and_the_next_one_is_given(serve: Serve) -> None:
    slow = [0.5]

    def network(pixels):
        if len(pixels) == 1 and pixels.mean() == 0:
            time.sleep(slow.pop() if slow else 0)
        return by_light(pixels)

    client = serve(network, answer_seconds=0.2)
    answer = client.post("/predict", content=shade(0), headers=PNG)
    assert (answer.status_code, answer.json()["expected"]) == (504, "at most 0.2 s")
    time.sleep(0.4)
    assert client.post("/predict", content=shade(0), headers=PNG).status_code == 200


def test_a_server_with_too_much_to_do_says_so_and_recovers(serve: Serve) -> None:
    busy, go = Event(), Event()

    def network(pixels):
        if pixels.mean() == 0:
            busy.set()
            go.wait(10)
        return by_light(pixels)

    client = serve(network, max_requests=1)
    first: list[int] = []
    asking = Thread(target=lambda: first.append(client.post("/predict", content=shade(0), headers=PNG).status_code))
    asking.start()
    busy.wait(10)
    answer = client.post("/predict", content=shade(9), headers=PNG)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    go.set()
    asking.join()
    assert first == [200]
    assert client.post("/predict", content=shade(9), headers=PNG).status_code == 200


def test_bytes_inside_are_bounded_together() -> None:
    admission = Admission(ServeSettings(max_request_bytes=600, max_waiting_bytes=1000))
    with admission.admit(600):
        with pytest.raises(RefusedError, match="too many requests at a time"), admission.admit(600):
            pass
        with admission.admit(400):
            pass
    with admission.admit(600):
        pass


@pytest.mark.parametrize("path", ["/model", "/metrics"])
@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ö"])
def test_without_the_token_nothing_is_told(serve: Serve, path: str, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header.encode()}
    answer = serve(token=TOKEN).get(path, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_without_the_token_no_body_is_read(serve: Serve) -> None:
    for path in ("/predict", "/heat-map"):
        assert serve(token=TOKEN).post(path, content=b"x" * 10**6).status_code == 401


def test_with_the_token_the_server_answers(serve: Serve) -> None:
    client = serve(token=TOKEN)
    headers = {"authorization": f"bearer {TOKEN}", **PNG}
    assert client.post("/predict", content=shade(0), headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/"])
def test_health_and_the_page_ask_for_no_token(serve: Serve, path: str) -> None:
    assert serve(token=TOKEN).get(path).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:80", 200), ("[::1]:80", 200), ("evil.example", 403), ("[", 403)]
)
def test_a_name_that_is_made_to_point_here_is_refused(serve: Serve, host: str, status: int) -> None:
    client = serve(allowed_hosts=("localhost", "::1"))
    assert client.get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://testserver"}, 200),
        ({"origin": "https://testserver"}, 200),  # behind a proxy for TLS
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_pages_of_other_sites_cannot_ask(serve: Serve, headers: dict[str, str], status: int) -> None:
    answer = serve().post("/predict", content=shade(0), headers=PNG | headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
