import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from gender_pipeline.errors import ImageError
from gender_pipeline.images.decode import MAX_PIXELS, decode_batches, decode_rgb, map_ahead


def test_a_photo_becomes_a_square_of_rgb_bytes(drawn, encode) -> None:
    pixels = decode_rgb(encode(drawn()), 32)
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)


def test_channels_come_in_the_order_red_green_blue(encode) -> None:
    pixels = decode_rgb(encode(Image.new("RGB", (40, 40), (200, 100, 50)), "PNG"), 8)
    assert (pixels == (200, 100, 50)).all()


@pytest.mark.parametrize("size", [(90, 30), (30, 90)])
def test_the_centre_square_is_kept_and_the_rest_cut_off(encode, size) -> None:
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2 - 15, size[1] // 2 - 15, size[0] // 2 + 15, size[1] // 2 + 15))
    assert (decode_rgb(encode(image, "PNG"), 30) == (0, 0, 255)).all()


def test_scaling_down_averages_over_the_area_under_a_pixel(encode) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = decode_rgb(encode(Image.fromarray(stripes), "PNG"), 8)[:, 1:-1]
    assert np.abs(inner.astype(int) - 127).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_of_a_photo_decode_to_the_same_pixels(drawn, encode, orientation) -> None:
    upright = drawn(size=(48, 48))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode_rgb(encode(stored, "PNG", exif=exif), 48), np.asarray(upright))


def test_transparent_pixels_lie_on_white(encode) -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    assert (decode_rgb(encode(image, "PNG"), 8) == 255).all()


def test_a_cmyk_photo_looks_like_its_rgb_original(drawn, encode) -> None:
    image = drawn(size=(48, 48))
    cmyk = decode_rgb(encode(image.convert("CMYK"), quality=95), 48).astype(int)
    assert np.abs(cmyk - np.asarray(image)).mean() < 6


def test_a_16_bit_photo_keeps_the_high_bytes(encode) -> None:
    ramp = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    pixels = decode_rgb(encode(Image.fromarray(ramp), "PNG"), 32)
    np.testing.assert_array_equal(pixels, np.repeat((ramp >> 8)[..., None], 3, axis=2))


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff\xe0"])
def test_what_is_no_whole_image_is_an_error_with_the_reason(data) -> None:
    with pytest.raises(
        ImageError, match=rf"cannot be decoded: (empty|not an|damaged).*{MAX_PIXELS} pixels; received {len(data)} bytes"
    ):
        decode_rgb(data, 8)


def test_batches_keep_order_and_the_last_one_may_be_smaller(drawn, encode) -> None:
    data = [encode(drawn(seed), "PNG") for seed in range(7)]
    batches = list(decode_batches(((str(i), data[i]) for i in range(7)), 16, 3))
    assert [ids for ids, _ in batches] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    np.testing.assert_array_equal(np.concatenate([pixels for _, pixels in batches]), [decode_rgb(d, 16) for d in data])


def test_no_photos_are_no_batches() -> None:
    assert list(decode_batches([], 16, 3)) == []


def test_a_photo_in_a_batch_that_cannot_be_decoded_is_named(drawn, encode) -> None:
    photos = [("good", encode(drawn())), ("bad", encode(drawn())[:-50])]
    with pytest.raises(ImageError, match=r"^bad: the photo cannot be decoded: truncated"):
        list(decode_batches(photos, 16, 1))


def test_mapping_takes_no_more_items_ahead_than_it_says() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1, 101):
            taken.append(item)
            yield item

    for n_results, result in enumerate(map_ahead(lambda item: item, items(), workers=2), start=1):
        assert result == n_results
        assert len(taken) <= n_results + 4


def test_a_consumer_that_stops_leaves_no_threads_behind() -> None:
    before = threading.active_count()
    results = map_ahead(lambda item: item, iter(range(100)))
    next(results)
    results.close()
    assert threading.active_count() == before
