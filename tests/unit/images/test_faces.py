"""Faces are found where they are, and a crop is a photo."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from drawn_faces import FOUND, encoded, face, group
from gender_pipeline.errors import ImageError
from gender_pipeline.images import ingest
from gender_pipeline.images.decode import load_image, to_rgb
from gender_pipeline.images.faces import cut_faces, find_faces, square_around
from gender_pipeline.schema import Photo

PLACES = [(40, 50), (400, 300), (650, 20)]


def centre(box: tuple[int, int, int, int]) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def photo(data: bytes, name: str = "a.jpg") -> Photo:
    return Photo(name, data, subject_id="a", label="female")


@pytest.mark.parametrize("n_faces", [0, 1, 2, 3])
def test_every_face_is_found_where_it_is(n_faces: int) -> None:
    found = sorted(centre(box) for box in find_faces(group(PLACES[:n_faces])))
    expected = sorted((x + 100, y + 100) for x, y in PLACES[:n_faces])
    assert len(found) == n_faces
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=40)


def test_the_largest_face_comes_first() -> None:
    picture = group([(20, 20)])
    picture.paste(face(FOUND[1], 400), (450, 100))
    widths = [crop.box[2] for crop in cut_faces(encoded(picture))]
    assert len(widths) == 2
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("scale", [1, 4])
def test_boxes_are_in_pixels_of_the_photo_whatever_its_size(scale: int) -> None:
    picture = group([(100, 100)], (400, 400))
    (box,) = find_faces(picture.resize((400 * scale, 400 * scale)))
    assert centre(box) == pytest.approx((200 * scale, 200 * scale), abs=30 * scale)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_that_lies_on_its_side_is_turned_upright_first(orientation: int) -> None:
    upright = group([(500, 100)])
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = encoded(upright.transpose(turn), "PNG", exif=exif)
    assert cut_faces(lying) == cut_faces(encoded(upright, "PNG"))


def test_a_crop_is_a_square_around_the_face_with_its_pixels() -> None:
    picture = group([(300, 200)])
    (crop,) = cut_faces(encoded(picture, "PNG"))
    pixels = np.asarray(Image.open(io.BytesIO(crop.data)))
    left, top, side, _ = square = square_around(crop.box)
    assert pixels.shape == (side, side, 3)
    assert side == pytest.approx(1.8 * crop.box[2], abs=1)
    assert centre(square) == pytest.approx(centre(crop.box), abs=1)
    np.testing.assert_array_equal(pixels, np.asarray(picture)[top : top + side, left : left + side])


def test_what_lies_outside_of_the_photo_is_grey() -> None:
    whole = group([(300, 200)])
    (box,) = find_faces(whole)
    (crop,) = cut_faces(encoded(whole.crop((box[0], 0, 900, 600)), "PNG"))
    pixels = np.asarray(Image.open(io.BytesIO(crop.data)))
    assert (pixels[:, 0] == 128).all()
    assert (pixels[len(pixels) // 2, len(pixels) // 2] != 128).any()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_crop_keeps_the_format_of_its_photo(image_format: str) -> None:
    (crop,) = cut_faces(encoded(group([(300, 200)]), image_format))
    assert load_image(crop.data).format == image_format


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "LA"])
def test_colour_modes_are_no_hindrance(mode: str) -> None:
    picture = group([(300, 200)]).convert(mode)
    (crop,) = cut_faces(encoded(picture, "TIFF" if mode == "CMYK" else "PNG") if mode != "CMYK" else encoded(picture))
    assert to_rgb(load_image(crop.data)).mode == "RGB"


def test_the_same_bytes_give_the_same_crops_in_any_thread() -> None:
    data = encoded(group(PLACES))
    expected = cut_faces(data)
    with ThreadPoolExecutor(4) as pool:
        assert all(crops == expected for crops in pool.map(cut_faces, [data] * 8))


def test_tiny_photos_and_empty_ones_have_no_face() -> None:
    for size in [(1, 1), (1, 500), (16, 16), (300, 300)]:
        assert cut_faces(encoded(Image.new("RGB", size))) == []


def test_what_is_no_image_is_an_error() -> None:
    with pytest.raises(ImageError, match="not an image"):
        cut_faces(b"text")


def test_a_whole_photo_becomes_the_crop_of_its_largest_face() -> None:
    picture = group([(20, 20)])
    picture.paste(face(FOUND[1], 400), (450, 100))
    data = encoded(picture)
    cropped = ingest.crop_to_face(photo(data))
    largest = cut_faces(data)[0]
    assert cropped.data == largest.data
    assert replace(cropped, data=data, box=None, attributes={}) == photo(data)


def test_box_and_landmarks_of_a_crop_lie_in_it_and_its_attributes_say_where_it_was() -> None:
    data = encoded(group([(300, 200)]))
    x, y, width, height = cut_faces(data)[0].box
    landmarks = (float(x), float(y), float(x + width), float(y + height))
    cropped = ingest.crop_to_face(replace(photo(data), landmarks=landmarks, attributes={"glasses": "no"}))
    left, top, side = (cropped.attributes[f"crop_{name}_px"] for name in ("left", "top", "side"))
    assert cropped.box == (x - left, y - top, width, height)
    assert cropped.landmarks == (x - left, y - top, x - left + width, y - top + height)
    assert side == load_image(cropped.data).width
    assert cropped.attributes["glasses"] == "no"


def test_a_photo_without_a_face_says_so_and_keeps_its_bytes() -> None:
    data = encoded(group([]))
    assert ingest.crop_to_face(photo(data)) == replace(photo(data), problem="no face")


@pytest.mark.parametrize("bad", [photo(b""), photo(b"text"), replace(photo(b""), problem="row without a photo")])
def test_what_cannot_be_decoded_is_left_to_the_checks(bad: Photo) -> None:
    assert ingest.crop_to_face(bad) == bad
