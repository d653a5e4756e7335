"""Whatever is sent, the server answers or says what is wrong with it. 10,000 uploads: tests/servers/test_fuzz.py."""

from collections import Counter

from fastapi.testclient import TestClient

from fuzzing import uploads
from lamp_models import shade


def test_malformed_uploads_are_never_the_server_s_error(client: TestClient) -> None:
    statuses: Counter[int] = Counter()
    for upload in uploads(300, seed=0):
        answer = client.post(upload.path, content=upload.body, headers=upload.headers)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, (upload, answer.text)
        assert ("photos" in answer.json()) or ("grid" in answer.json()) or answer.json()["error"]
    assert {200, 415, 422} <= set(statuses)
    assert client.post("/predict", content=shade(51), headers={"content-type": "image/png"}).status_code == 200
