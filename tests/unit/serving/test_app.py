"""Every route's answer."""

import json
from io import StringIO

import pytest
from fastapi.testclient import TestClient

from drawn_faces import encoded, group
from gender_pipeline.images.faces import cut_faces, square_around
from gender_pipeline.serving.answers import DISCLAIMER
from gender_pipeline.serving.models import ModelHolder
from lamp_models import Serve, by_light, form, served, shade

PNG = {"content-type": "image/png"}


def light(photo: dict) -> float:
    return photo["faces"][0]["probabilities"]["light"]


def test_a_photo_as_raw_bytes_is_answered(client: TestClient) -> None:
    answer = client.post("/predict", content=shade(51), headers=PNG)
    assert answer.status_code == 200
    [photo] = answer.json()["photos"]
    assert (photo["name"], photo["problem"], photo["faces"][0]["box"]) == (None, None, None)
    assert (photo["faces"][0]["label"], light(photo)) == ("dark", pytest.approx(0.2))
    assert answer.json()["model"] == {"name": "lamp", "version": "1"}
    assert answer.json()["disclaimer"] == DISCLAIMER


def test_photos_of_a_form_are_answered_in_their_order(client: TestClient) -> None:
    photos = client.post("/predict", files=form(*map(shade, (0, 102, 255)))).json()["photos"]
    assert [photo["name"] for photo in photos] == ["0.png", "1.png", "2.png"]
    assert [light(photo) for photo in photos] == pytest.approx([0, 0.4, 1])


def test_top_gives_the_most_probable_classes_only(client: TestClient) -> None:
    face = client.post("/predict?top=1", content=shade(51), headers=PNG).json()["photos"][0]["faces"][0]
    assert face["probabilities"] == {"dark": face["probability"]}


def test_a_bad_photo_among_several_has_a_problem_and_the_others_an_answer(client: TestClient) -> None:
    answer = client.post("/predict", files=form(shade(0), b"no photo", shade(255)[:60], shade(255)))
    assert answer.status_code == 200
    problems = [photo["problem"] for photo in answer.json()["photos"]]
    assert [problem and problem.partition(":")[0] for problem in problems][::3] == [None, None]
    assert problems[1].startswith("not an image")
    assert problems[2] is not None
    assert light(answer.json()["photos"][3]) == 1


@pytest.mark.parametrize("route", ["/predict", "/heat-map"])
def test_a_single_photo_that_is_none_is_refused(client: TestClient, route: str) -> None:
    answer = client.post(route, content=b"no photo", headers=PNG)
    assert answer.status_code == 422
    assert answer.json()["received"].startswith("not an image")


def test_a_single_photo_without_a_face_is_answered_so(client: TestClient) -> None:
    answer = client.post("/predict?crop=face", content=shade(100), headers=PNG)
    assert (answer.status_code, answer.json()["photos"][0]["problem"]) == (200, "no face")


def test_a_heat_map_is_a_grid_of_what_the_label_hangs_on(client: TestClient) -> None:
    answer = client.post("/heat-map", content=shade(51), headers=PNG).json()
    assert answer["label"] == "dark"
    assert {len(row) for row in answer["grid"]} == {len(answer["grid"])} == {8}


def test_a_heat_map_lies_on_the_square_that_was_cut_out_around_the_face(client: TestClient) -> None:
    photo = encoded(group([(40, 50), (400, 300)]), "PNG")
    second = cut_faces(photo)[1]
    answer = client.post("/heat-map?crop=face&face=1", content=photo, headers=PNG).json()
    square = tuple(answer["box"][edge] for edge in ("x", "y", "width", "height"))
    assert square == square_around(second.box) != second.box


def test_a_heat_map_of_a_face_that_is_not_there_is_refused(client: TestClient) -> None:
    answer = client.post("/heat-map?face=1", content=shade(51), headers=PNG)
    assert (answer.status_code, answer.json()["received"]) == (422, "face 1")


def test_the_model_says_what_it_is(client: TestClient) -> None:
    answer = client.get("/model").json()
    facts = {"name": "lamp", "version": "1", "commit": "c0ffee", "card": "# A card", "classes": ["dark", "light"]}
    assert facts.items() <= answer.items()
    assert (answer["crop"], answer["image_size_px"]) == ("none", 32)


def test_before_the_model_is_loaded_the_server_is_alive_and_not_ready(serve: Serve) -> None:
    models = ModelHolder(lambda _: served())
    client = serve(models=models)
    assert client.get("/healthz").status_code == 200
    for answer in (client.get("/readyz"), client.get("/model"), client.post("/predict", content=shade(0), headers=PNG)):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    models.load_first()
    assert client.get("/readyz").status_code == 200


def test_metrics_count_requests_photos_faces_and_problems(client: TestClient) -> None:
    client.post("/predict", files=form(shade(0), shade(9), b"no photo"))
    client.get("/nowhere/else")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'gender_pipeline_requests_total{route="/predict",status="200"} 1.0',
        'gender_pipeline_requests_total{route="none",status="404"} 1.0',
        "gender_pipeline_photos_total 3.0",
        "gender_pipeline_faces_total 2.0",
        'gender_pipeline_photo_problems_total{problem="not an image"} 1.0',
        'gender_pipeline_model_info{commit="c0ffee",name="lamp",version="1"} 1.0',
        "gender_pipeline_model_swaps_total 1.0",
        "gender_pipeline_waiting_photos 0.0",
    ):
        assert line in lines
    assert "gender_pipeline_batch_faces_sum 2.0" in lines


@pytest.mark.parametrize(("path", "kind"), [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "javascript")])
def test_the_page_and_its_parts_are_served(client: TestClient, path: str, kind: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert kind in answer.headers["content-type"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere"])
def test_answers_let_no_other_host_s_scripts_run(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_openapi_names_the_routes_their_bodies_and_refusals(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/predict", "/heat-map", "/model", "/metrics", "/healthz", "/readyz"} == set(paths)
    predict = paths["/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"multipart/form-data", "image/*", "application/octet-stream"}
    assert {"200", "401", "413", "422", "503"} <= set(predict["responses"])
    assert client.get("/docs").status_code == 404  # it would load scripts from another host


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/predict", 405)])
def test_what_is_not_there_is_refused_as_everything_is(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_a_query_out_of_range_is_named(client: TestClient) -> None:
    answer = client.post("/predict?top=0", content=shade(0), headers=PNG)
    assert (answer.status_code, answer.json()["error"][:4]) == (422, "top:")


def test_an_error_of_the_network_says_nothing_of_the_inside(serve: Serve) -> None:
    def network(pixels):
        if pixels.mean() < 10:
            raise RuntimeError("secret/path")
        return by_light(pixels)

    answer = serve(network).post("/predict", content=shade(0), headers=PNG)
    assert (answer.status_code, answer.json()) == (500, {"error": "the server failed"})


def test_a_request_s_line_in_the_log_holds_no_photo_name_token_or_answer(serve: Serve, json_log: StringIO) -> None:
    client = serve(token="a-secret-of-16-characters")  # noqa: S106
    headers = {"authorization": "Bearer a-secret-of-16-characters", "x-request-id": "mine-1"}
    files = [("photos", ("aunt-mary.png", shade(51), "image/png")), ("photos", ("b.png", b"no photo", "image/png"))]
    answer = client.post("/predict", files=files, headers=headers)
    lines = [line for line in json_log.getvalue().splitlines() if '"/predict"' in line]
    line = json.loads(lines[-1])
    assert line["id"] == answer.headers["x-request-id"] == "mine-1"
    assert (line["route"], line["status"], line["photos"], line["faces"]) == ("/predict", 200, 2, 1)
    assert (line["bytes"], line["version"]) == ([len(shade(51)), 8], "1")
    assert line["ms"] > 0
    assert not [word for word in ("aunt", "secret", "dark", "light") if word in lines[-1]]


def test_an_id_that_could_forge_a_line_of_the_log_is_replaced(client: TestClient) -> None:
    assert client.get("/healthz", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"
