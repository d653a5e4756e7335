"""What holds for any bytes and any photo."""

import hashlib
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from gender_pipeline.errors import ImageError
from gender_pipeline.images.checks import ImageLimits, inspect_image
from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.images.shards import ShardSettings, SourcePhotos, update_shards
from gender_pipeline.schema import Photo

LIMITS = ImageLimits()
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
# A PNG ends with checksums and its end mark, a row of a BMP with padding: without them all pixels are there.
N_BYTES_AFTER_PIXELS = {"PNG": 20, "BMP": 2}
MAGIC = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\0\0\0\0WEBP")


def encode(pixels: np.ndarray, image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format)
    return buffer.getvalue()


WHOLE = {
    image_format: encode(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8), image_format)
    for image_format in FORMATS
}


@settings(deadline=None)
@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=300))
def test_no_bytes_raise_and_bad_ones_have_a_problem(magic, rest) -> None:
    facts = inspect_image(magic + rest, "a.jpg", LIMITS)
    assert facts.problem is not None


@settings(deadline=None)
@given(image_format=st.sampled_from(FORMATS), data=st.data())
def test_a_photo_that_lost_pixels_at_its_end_is_never_usable(image_format, data) -> None:
    whole = WHOLE[image_format]
    length = data.draw(st.integers(0, len(whole) - 1 - N_BYTES_AFTER_PIXELS.get(image_format, 0)))
    facts = inspect_image(whole[:length], f"a.{image_format.lower()}", LIMITS)
    assert facts.problem is not None
    assert facts.phash is None
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_rgb(whole[:length], 8)


@pytest.mark.filterwarnings("ignore")  # PIL warns of damaged EXIF data and odd chunks
@settings(deadline=None)
@given(image_format=st.sampled_from(FORMATS), position=st.integers(0, 2**20), value=st.integers(0, 255))
def test_what_the_checks_pass_can_be_decoded_however_damaged_it_is(image_format, position, value) -> None:
    damaged = bytearray(WHOLE[image_format])
    damaged[position % len(damaged)] = value
    if inspect_image(bytes(damaged), "a", LIMITS).problem is None:
        assert decode_rgb(bytes(damaged), 8).shape == (8, 8, 3)


@settings(deadline=None)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    size_px=st.integers(1, 48),
)
def test_every_photo_decodes_to_the_size_asked_for_within_its_own_range(pixels, size_px) -> None:
    decoded = decode_rgb(encode(pixels, "PNG"), size_px)
    assert decoded.shape == (size_px, size_px, 3)
    assert pixels.min() <= decoded.min()
    assert decoded.max() <= pixels.max()


@settings(deadline=None)
@given(pixels=arrays(np.uint8, st.tuples(st.integers(32, 40), st.integers(32, 40))))
def test_a_grey_photo_has_the_same_facts_with_one_channel_or_three(pixels) -> None:
    three = np.repeat(pixels[..., None], 3, axis=2)
    one = inspect_image(encode(pixels, "PNG"), "a.png", LIMITS)
    assert one == inspect_image(encode(three, "PNG"), "a.png", LIMITS)
    assert one.grey
    assert one.contrast == pytest.approx(pixels.std(), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    contents=st.lists(st.binary(max_size=400_000 // 8), max_size=30),
    shard_mib=st.sampled_from([1, 2]),
    data=st.data(),
)
def test_what_goes_into_shards_comes_out_whatever_their_size(contents, shard_mib, data) -> None:
    photos = [Photo(f"{i}", content, subject_id="s", label=None, problem="x") for i, content in enumerate(contents)]
    source = {"a": SourcePhotos("1", lambda: iter(photos))}
    ids = [hashlib.sha256(content).hexdigest() for content in contents if content]
    wanted = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    with TemporaryDirectory() as folder:
        store = update_shards(Path(folder), source, ShardSettings(shard_mib=shard_mib, row_group_mib=1))
        assert store.manifest().name.tolist() == sorted(photo.name for photo in photos)
        found = dict(store.images(wanted))
    assert set(found) == set(wanted)
    assert all(hashlib.sha256(content).hexdigest() == image_id for image_id, content in found.items())
