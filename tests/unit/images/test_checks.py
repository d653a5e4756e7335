import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from gender_pipeline.images.checks import ImageLimits, inspect_image, perceptual_hash

LIMITS = ImageLimits()
FORMATS = [("JPEG", ".jpg"), ("PNG", ".png"), ("BMP", ".bmp"), ("WEBP", ".webp")]


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def jpeg_of_size(jpeg: bytes, width: int, height: int) -> bytes:
    frame = jpeg.index(b"\xff\xc0")
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


def differing_bits(first: bytes | None, second: bytes | None) -> int:
    assert first is not None
    assert second is not None
    return sum(byte.bit_count() for byte in (np.frombuffer(first, np.uint8) ^ np.frombuffer(second, np.uint8)).tolist())


@pytest.mark.parametrize(("image_format", "suffix"), FORMATS)
def test_a_good_photo_of_each_format_has_facts_and_no_problem(drawn, encode, image_format, suffix) -> None:
    facts = inspect_image(encode(drawn(), image_format), f"a/b{suffix.upper()}", LIMITS)
    assert (facts.width_px, facts.height_px, facts.grey, facts.problem) == (64, 48, False, None)
    assert facts.phash is not None
    assert len(facts.phash) == 32


def test_contrast_is_the_standard_deviation_of_the_grey_values(drawn, encode) -> None:
    image = drawn()
    expected = np.asarray(image.convert("L"), dtype=float).std()
    assert inspect_image(encode(image, "PNG"), "a.png", LIMITS).contrast == pytest.approx(expected)


def test_the_size_is_that_of_the_upright_photo(drawn, encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = inspect_image(encode(drawn(), exif=exif), "a.jpg", LIMITS)
    assert (facts.width_px, facts.height_px) == (48, 64)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_data_does_not_spoil_a_photo(drawn, encode) -> None:
    facts = inspect_image(encode(drawn(), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), "a.jpg", LIMITS)
    assert (facts.width_px, facts.problem) == (64, None)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_photos_are_a_fact_and_no_problem(drawn, encode, mode) -> None:
    facts = inspect_image(encode(drawn().convert("L").convert(mode)), "a.jpg", LIMITS)
    assert (facts.grey, facts.problem) == (True, None)


def test_a_photo_with_one_coloured_row_is_not_grey(drawn, encode) -> None:
    pixels = np.array(drawn().convert("L").convert("RGB"))
    pixels[3] = (255, 0, 0)
    assert not inspect_image(encode(Image.fromarray(pixels), "PNG"), "a.png", LIMITS).grey


@pytest.mark.parametrize(("mode", "image_format"), [("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("LA", "PNG")])
def test_cmyk_palette_and_alpha_photos_are_usable(drawn, encode, mode, image_format) -> None:
    facts = inspect_image(encode(drawn().convert(mode), image_format), f"a.{image_format.lower()}", LIMITS)
    assert (facts.width_px, facts.problem) == (64, None)


def test_a_16_bit_photo_is_judged_by_its_high_bytes(encode) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    facts = inspect_image(encode(Image.fromarray(ramp), "PNG"), "a.png", LIMITS)
    assert (facts.grey, facts.problem) == (True, None)
    assert facts.contrast == pytest.approx((ramp >> 8).std())


def test_a_transparent_photo_is_near_blank_whatever_it_hides(drawn, encode) -> None:
    image = drawn().convert("RGBA")
    image.putalpha(0)
    assert inspect_image(encode(image, "PNG"), "a.png", LIMITS).problem == "near-blank: contrast 0.0"


def test_a_near_blank_photo_keeps_its_facts_and_says_so(encode) -> None:
    facts = inspect_image(encode(Image.new("RGB", (64, 48), (90, 90, 90))), "a.jpg", LIMITS)
    assert (facts.width_px, facts.problem) == (64, "near-blank: contrast 0.0")


def test_a_photo_with_a_side_below_the_limit_is_too_small(drawn, encode) -> None:
    assert inspect_image(encode(drawn(size=(64, 20))), "a.jpg", LIMITS).problem == "too small: 64 x 20"


@pytest.mark.parametrize(
    ("image_format", "name"), [("PNG", "a.jpg"), ("JPEG", "a.PNG"), ("BMP", "a.jpeg"), ("WEBP", "a.bmp")]
)
def test_content_under_another_formats_extension_is_a_problem(drawn, encode, image_format, name) -> None:
    problem = inspect_image(encode(drawn(), image_format), name, LIMITS).problem
    assert problem == f"wrong extension: {image_format} content under a {name[1:]} name"


def test_a_name_without_extension_promises_no_format(drawn, encode) -> None:
    assert inspect_image(encode(drawn(), "PNG"), "photo", LIMITS).problem is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty file"),
        (b"<html>not found</html>", "not an image: neither JPEG, PNG, BMP nor WebP"),
        (b"GIF89a" + bytes(100), "not an image: neither JPEG, PNG, BMP nor WebP"),
        (bytes(20 * 2**20 + 1), f"too many bytes: {20 * 2**20 + 1}"),
        (png_of_size(50_000, 50_000), "too many pixels: 50000 x 50000"),
        (png_of_size(64, 64), "truncated"),
        (png_of_size(0, 64), "damaged: "),
    ],
    ids=["empty", "html", "gif", "bytes", "pixels", "truncated", "no width"],
)
def test_bad_bytes_are_a_problem_with_a_countable_reason(data, problem) -> None:
    facts = inspect_image(data, "a.jpg", LIMITS)
    assert facts.problem is not None
    assert facts.problem.startswith(problem)
    assert (facts.width_px, facts.height_px, facts.phash) == (0, 0, None)


@pytest.mark.parametrize("side", [10_000, 14_000, 50_000])
def test_a_bomb_is_refused_by_its_header_without_a_warning(drawn, encode, side) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bomb in (png_of_size(side, side), jpeg_of_size(encode(drawn()), side, side)):
            assert inspect_image(bomb, "a.jpg", LIMITS).problem == f"too many pixels: {side} x {side}"


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_ends_early_is_truncated(drawn, encode, options) -> None:
    data = encode(drawn(), **options)
    for n_lost in (1, 2, 100, len(data) // 4):
        assert inspect_image(data[:-n_lost], "a.jpg", LIMITS).problem == "truncated"


def test_a_recompressed_copy_has_nearly_the_same_hash_and_another_photo_has_not(drawn, encode) -> None:
    photo, other = (drawn(seed, (240, 320), n_patches=16) for seed in (1, 2))
    original = inspect_image(encode(photo, quality=95), "a.jpg", LIMITS).phash
    copy = inspect_image(encode(photo.resize((120, 160)), quality=50), "a.jpg", LIMITS).phash
    assert differing_bits(original, copy) <= 32
    assert 96 <= differing_bits(original, inspect_image(encode(other), "a.jpg", LIMITS).phash) <= 160


def test_the_hash_compares_the_lowest_frequencies_with_their_median(drawn) -> None:
    grey = drawn(3, (64, 64)).convert("L")
    frequencies = dctn(np.asarray(grey, dtype=float))[:16, :16].ravel()
    # scipy's transform is twice ours in each direction, which changes no comparison.
    expected = np.packbits(frequencies > np.sort(frequencies)[127]).tobytes()
    assert perceptual_hash(grey) == expected
