"""The painter of the built-in sample: a person and a scene become a flat illustration of a face."""

import io
from typing import Final

import numpy as np
from PIL import Image

from gender_pipeline.sources.canvas import (
    Canvas,
    Frame,
    Points,
    Pose,
    both,
    circle,
    closed_curve,
    expose,
    mirror,
    paint_backdrop,
)
from gender_pipeline.sources.portrait import LONG_HAIR, Colour, Person, Scene, mix, shade

SUPERSAMPLING: Final = 2
N_LANDMARKS: Final = 76
WHITE: Final = (248, 246, 242)
DARK: Final = (44, 34, 36)
GOLD: Final = (224, 192, 111)

# The lower edge of the front hair, from the left temple to the right.
HAIRLINES: Final[dict[str, Points]] = {
    "back": [(-0.73, -0.1), (-0.64, -0.42), (-0.42, -0.66), (0, -0.72), (0.42, -0.66), (0.64, -0.42), (0.73, -0.1)],
    "side": [(-0.73, -0.1), (-0.66, -0.4), (-0.45, -0.68), (-0.25, -0.8), (0.1, -0.6), (0.5, -0.4), (0.73, -0.1)],
    "straight": [(-0.73, -0.05), (-0.62, -0.3), (-0.3, -0.36), (0, -0.37), (0.3, -0.36), (0.62, -0.3), (0.73, -0.05)],
    "curtain": [(-0.73, -0.02), (-0.6, -0.34), (-0.3, -0.62), (0, -0.85), (0.3, -0.62), (0.6, -0.34), (0.73, -0.02)],
    "receding": [(-0.74, -0.05), (-0.69, -0.45), (-0.56, -0.84), (-0.2, -0.82), (0.2, -0.82), (0.56, -0.84),
                 (0.69, -0.45), (0.74, -0.05)],
}  # fmt: skip
FRECKLES: Final = ((0.3, 0.26), (0.38, 0.3), (0.46, 0.27), (0.34, 0.36), (0.43, 0.37), (0.1, 0.25))


def draw_photo(person: Person, scene: Scene, frame: Frame) -> bytes:
    """Draw one photo and encode it as JPEG of `frame.width_px` x `frame.height_px` pixels."""
    image = Image.new("RGB", (frame.width_px * SUPERSAMPLING, frame.height_px * SUPERSAMPLING))
    paint_backdrop(image, scene)
    canvas = Canvas(image, scene, Pose(scene, frame, SUPERSAMPLING))
    for paint in _LAYERS:
        paint(canvas, person)
    return encode_jpeg(expose(image.reduce(SUPERSAMPLING), scene), scene.quality)


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode an image as JPEG; quality 1 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def draw_landmarks(person: Person, scene: Scene, frame: Frame) -> np.ndarray:
    """Give MUCT's 76 landmarks of a drawn photo, in MUCT's order: float64 (76, 2), x and y in pixels."""
    eye, brow, rim = np.array(_eye_outline(person)), _brow_outline(person), _head_outline(person)
    rim = rim[(rim[:, 0] > 0.01) & (rim[:, 1] > 0)]
    rim = rim[np.linspace(0, len(rim) - 1, 7).round().astype(int)]
    lids = (eye[:4] + eye[[1, 2, 3, 0]]) / 2
    lips, inner, nose = (
        _lip_outline(person),
        _lip_outline(person)[[1, 3, 5, 7, 9, 11]] * (1, 0.99),
        _nose_outline(person),
    )
    middle, tip = (0.0, _mouth_y(person)), (0.0, person.shape.nose_y)
    parts: list[tuple[Points, float]] = [
        (mirror(rim), 0.0), ([(0.0, person.shape.chin_y)], 0.0), (rim[::-1], 0.0), (brow, 0.6), (mirror(brow), 0.6),
        (mirror(eye), 0.6), (eye, 0.6), (nose, 0.9), (lips, 0.7), (inner, 0.7), ([middle], 0.7), ([tip], 1.0),
        (mirror(lids), 0.6), (lids, 0.6),
    ]  # fmt: skip
    pose = Pose(scene, frame)
    return np.concatenate([pose.pixels(points, depth) for points, depth in parts])


def _head_outline(person: Person) -> np.ndarray:
    shape = person.shape
    half = [(0, -1.02), (0.45, -0.93), (shape.face_width - 0.03, -0.5), (shape.face_width, 0.0),
            (shape.face_width - 0.025, 0.32), (shape.jaw_width, 0.68), (shape.chin_width, shape.chin_y - 0.1),
            (0, shape.chin_y)]  # fmt: skip
    return closed_curve(both(half), 6)


def _eye_outline(person: Person) -> list[tuple[float, float]]:
    """Give outer corner, top, inner corner, bottom and pupil of the right eye."""
    half, high, tilt = 0.165 * person.shape.eye_size, 0.085 * person.shape.eye_size, person.shape.eye_tilt
    return [(0.36 + half, -tilt), (0.36, -high), (0.36 - half, tilt + 0.02), (0.36, high * 0.75), (0.36, 0.0)]


def _brow_outline(person: Person) -> list[tuple[float, float]]:
    """Outline the right brow: outer end, top, inner end, then below."""
    y, arch, thick = person.shape.brow_y, person.shape.brow_arch, person.shape.brow_thickness
    return [(0.6, y + 0.02), (0.44, y - arch - thick * 0.4), (0.3, y - arch * 0.6 - thick * 0.6),
            (0.15, y - thick * 0.2), (0.16, y + thick * 0.7), (0.42, y - arch + thick * 0.6)]  # fmt: skip


def _nose_outline(person: Person) -> np.ndarray:
    """Outline the nose from the bridge's left down, around and up again, then the nostrils (11, 2)."""
    wing, tip = person.shape.nose_width, person.shape.nose_y
    return np.array([(-0.07, 0.05), (-0.09, tip - 0.15), (-wing, tip - 0.03), (-wing * 0.7, tip + 0.03),
                     (0, tip + 0.06), (wing * 0.7, tip + 0.03), (wing, tip - 0.03), (0.09, tip - 0.15), (0.07, 0.05),
                     (-wing * 0.5, tip + 0.02), (wing * 0.5, tip + 0.02)])  # fmt: skip


def _lip_outline(person: Person) -> np.ndarray:
    """Outline the lips at rest from the left corner over the top (12, 2)."""
    wide, y, full = person.shape.mouth_width, _mouth_y(person), 0.062 * person.shape.lip_fullness
    return np.array([(-wide, y), (-0.1, y - full), (-0.045, y - full * 1.25), (0, y - full), (0.045, y - full * 1.25),
                     (0.1, y - full), (wide, y), (0.12, y + full * 1.45), (0.06, y + full * 1.6), (0, y + full * 1.7),
                     (-0.06, y + full * 1.6), (-0.12, y + full * 1.45)])  # fmt: skip


def _mouth_y(person: Person) -> float:
    return 0.57 * person.shape.nose_y + 0.43 * person.shape.chin_y


def _dark_side(scene: Scene) -> int:
    """Give the side away from the light: 1 is the viewer's right."""
    return 1 if scene.light[1] < 0 else -1


def _wave(outline: Points, wavy: bool) -> np.ndarray:
    """Smooth a hair outline, and let its sides wave below the temples."""
    curve = closed_curve(outline, 8)
    if wavy:
        below = np.clip(curve[:, 1] + 0.4, 0, 0.4) / 0.4
        curve[:, 0] *= 1 + 0.06 * below * np.sin(9 * curve[:, 1] + np.sign(curve[:, 0]))
    return curve


def _paint_back_hair(canvas: Canvas, person: Person) -> None:
    hair = person.hair
    colour, v = shade(hair.colour, 0.8), hair.volume
    if hair.length == "bun":
        canvas.oval((0.15 * hair.part, -1.22 - v), (0.34, 0.3), colour, -0.4)
    ends = {
        "bob": [(0.92 + v, 0.7), (0.66, 0.98), (0, 0.95)],
        "long": [(0.93 + v, 0.9), (0.98 + v, 1.5), (0.75, 2.0), (0, 2.0)],
    }
    if hair.length in ends:
        half = [(0, -1.12 - v), (0.55, -1.0 - v), (0.86 + v, -0.45), (0.93 + v, 0.2), *ends[hair.length]]
        canvas.fill(_wave(both(half), hair.wavy), colour, -0.2, smooth=0)


def _paint_body(canvas: Canvas, person: Person) -> None:
    shape, style = person.shape, person.style
    neck, wide = shape.neck_width, shape.shoulder_width
    skin = [(0, 0.5), (neck, 0.6), (neck, 1.25), (neck + 0.14, 1.5), (0.3, 1.95), (0, 2.0)]
    canvas.fill(both(skin), person.skin, -0.1)
    inner = neck - 0.01
    shadow = [(0, 0.8), (inner, 0.8), (inner, 1.12), (0.25, shape.chin_y + 0.2), (0, shape.chin_y + 0.25)]
    canvas.fill(both(shadow), shade(person.skin, 0.8), -0.1)
    opening = {"crew": 1.48, "vneck": 1.85, "shirt": 1.7, "turtleneck": 1.3, "scoop": 1.72}[style.collar]
    side, dip = (0.56, 0.04) if style.collar == "scoop" else (neck + 0.06, 0.14)
    body = [(0, opening), (side * 0.55, opening - dip), (side, 1.36), (wide * 0.75, 1.55), (wide, 1.8),
            (wide + 0.12, 2.7), (0, 2.7)]  # fmt: skip
    canvas.fill(both(body), style.clothes, smooth=0 if style.collar in ("vneck", "shirt") else 6)
    if style.collar == "crew":
        canvas.line([*mirror(body[2:0:-1]), *body[:3]], shade(style.clothes, 0.82), 0.06)


def _paint_collar(canvas: Canvas, person: Person) -> None:
    style, neck = person.style, person.shape.neck_width
    if style.necklace:
        half = [(neck, 1.3), (0.25, 1.55), (0, 1.62)]
        canvas.line([*half, *mirror(half[1::-1])], GOLD, 0.03)
    if style.necktie:
        tie = [(-0.12, 1.52), (0.12, 1.52), (0.07, 1.68), (0.16, 2.6), (-0.16, 2.6), (-0.07, 1.68)]
        canvas.fill(tie, (135, 45, 54), smooth=0)
    if style.collar == "shirt":
        collar = [(neck - 0.03, 1.2), (neck + 0.1, 1.36), (0.3, 1.78), (0.04, 1.52)]
        canvas.fill_pair(collar, shade(style.clothes, 1.25), smooth=0)
    elif style.collar == "turtleneck":
        roll = [(0, 1.24), (neck + 0.04, 1.16), (neck + 0.08, 1.42), (0, 1.56)]
        canvas.fill(both(roll), shade(style.clothes, 0.82))


def _paint_head(canvas: Canvas, person: Person) -> None:
    skin, ear_x = person.skin, person.shape.face_width + 0.03
    canvas.oval_pair((ear_x, 0.12), (0.1, 0.19), shade(skin, 0.9), -0.5)
    canvas.oval_pair((ear_x, 0.12), (0.05, 0.12), shade(skin, 0.76), -0.5)
    if person.style.earrings:
        canvas.oval_pair((ear_x + 0.02, 0.37), (0.045, 0.06), GOLD, -0.5)
    outline = _head_outline(person)
    canvas.fill(outline, skin, smooth=0)
    rim = outline[outline[:, 0] * _dark_side(canvas.scene) > 0.05]
    rim = rim[np.argsort(rim[:, 1])]
    canvas.fill(np.concatenate([rim, rim[::-1] * (0.8, 1.0) - (0.0, 0.03)]), shade(skin, 0.92), smooth=0)
    if person.style.blush:
        canvas.oval_pair((0.47, 0.36), (0.15, 0.1), mix(skin, (226, 100, 96), 0.15), 0.5)
    for spot in FRECKLES if person.freckles else ():
        canvas.oval_pair(spot, (0.012, 0.012), shade(skin, 0.75), 0.6)


def _paint_beard(canvas: Canvas, person: Person) -> None:
    shape, beard = person.shape, person.style.beard
    colour = mix(person.skin, shade(person.hair.colour, 0.9), 0.3 if beard == "stubble" else 0.9)
    lip, corner, chin = _mouth_y(person), shape.mouth_width + 0.06, shape.chin_y
    if beard in ("full", "stubble"):
        puff, face = (0.0 if beard == "stubble" else 0.05), shape.face_width
        half = [(0, lip - 0.17), (0.2, lip - 0.17), (0.42, lip - 0.06), (0.6, 0.42), (face - 0.05, 0.1),
                (face + puff * 0.3, 0.2), (face - 0.02 + puff * 0.4, 0.36), (shape.jaw_width + puff, 0.69),
                (shape.chin_width + puff, chin - 0.09 + puff), (0, chin + puff)]  # fmt: skip
        canvas.fill(both(half), colour, 0.1)
    elif beard == "goatee":
        half = [(0, lip - 0.16), (0.2, lip - 0.15), (corner, lip + 0.05), (0.25, chin), (0, chin + 0.06)]
        canvas.fill(both(half), colour, 0.6)
    elif beard == "moustache":
        half = [(0, lip - 0.15), (0.16, lip - 0.15), (corner, lip + 0.01), (0.14, lip - 0.05), (0, lip - 0.06)]
        canvas.fill(both(half), colour, 0.8)


def _paint_nose(canvas: Canvas, person: Person) -> None:
    skin, wing, tip, dark = person.skin, person.shape.nose_width, person.shape.nose_y, _dark_side(canvas.scene)
    shadow = [(0.05, -0.02), (0.06, 0.2), (wing * 0.95, tip - 0.04), (wing * 0.6, tip + 0.05), (0, tip + 0.05),
              (0.03, tip - 0.12)]  # fmt: skip
    canvas.fill(np.array(shadow) * (dark, 1), shade(skin, 0.88), 0.9)
    base = [(-wing, tip - 0.05), (-wing * 0.8, tip + 0.03), (-0.05, tip + 0.045)]
    canvas.line([*base, *mirror(base[::-1])], shade(skin, 0.68), 0.028, 0.95)
    canvas.oval_pair((wing * 0.5, tip + 0.02), (0.035, 0.016), shade(skin, 0.5), 0.95)
    canvas.oval((-dark * 0.03, tip - 0.07), (0.035, 0.045), shade(skin, 1.22), 1.0)


def _paint_mouth(canvas: Canvas, person: Person) -> None:
    scene, y, full = canvas.scene, _mouth_y(person), 0.062 * person.shape.lip_fullness
    colour = person.style.lipstick or mix(shade(person.skin, 0.86), (176, 84, 80), 0.45)
    gap = 0.075 if scene.mouth_open else 0.0
    lips = _lip_outline(person)
    lips[[0, 6]] = lips[[0, 6]] * (1 + 0.12 * scene.smile, 1) - (0, 0.07 * scene.smile)
    lips[7:, 1] += gap
    canvas.fill(lips, colour, 0.7)
    wide, corner = lips[6]
    if scene.mouth_open:
        opening = [(0, y + 0.004), (wide * 0.84, corner + 0.012), (0.12, y + gap * 0.95), (0, y + gap * 1.1)]
        teeth = [(0, y + 0.01), (wide * 0.66, corner + 0.02), (0.1, y + gap * 0.62), (0, y + gap * 0.7)]
        canvas.fill(both(opening), (96, 38, 42), 0.7)
        canvas.fill(both(teeth), WHITE, 0.7)
    else:
        half = [(-wide, corner), (-0.1, y + 0.012), (0, y + 0.005)]
        canvas.line([*half, *mirror(half[1::-1])], shade(colour, 0.58), 0.022, 0.7)
    below = y + gap + full * 2.4
    canvas.line([(-0.09, below), (0, below + full * 0.2), (0.09, below)], shade(person.skin, 0.84), 0.025, 0.7)


def _paint_eyes(canvas: Canvas, person: Person) -> None:
    size, skin, lashes = person.shape.eye_size, person.skin, person.style.lashes
    squint = 1 - 0.2 * max(canvas.scene.smile, 0)
    outer, top, inner, bottom, _ = np.array(_eye_outline(person)) * (1, squint)
    if lashes:
        lid = [inner, top - (0, 0.085), outer - (-0.03, 0.06), outer]
        canvas.fill_pair(np.array(lid), mix(skin, (120, 80, 96), 0.4), 0.6)
    canvas.fill_pair(np.array([outer, top, inner, bottom]), WHITE, 0.6)
    for side in (-1, 1):
        x = 0.36 * side + 0.06 * canvas.scene.look
        canvas.oval((x, -0.004), (0.076 * size, 0.076 * size * min(1, squint + 0.06)), person.iris, 0.6)
        canvas.oval((x, -0.004), (0.036 * size, 0.036 * size), DARK, 0.6)
        canvas.oval((x + 0.022, -0.028), (0.016, 0.016), (255, 255, 255), 0.6)
    upper = [inner, (0.27, top[1] * 0.8), top, (0.45, top[1] * 0.8), outer]
    upper = [*upper, outer - (-0.04, 0.035)] if lashes else upper
    canvas.line_pair(np.array(upper), DARK, 0.05 if lashes else 0.032, 0.6)
    canvas.line_pair(np.array([outer, bottom, inner]), shade(skin, 0.72), 0.014, 0.6)
    crease = np.array([inner, top, outer]) - (0, 0.052)
    canvas.line_pair(crease, shade(skin, 0.76), 0.016, 0.6)
    canvas.fill_pair(_brow_outline(person), _brow_colour(person), 0.6)


def _brow_colour(person: Person) -> Colour:
    colour = shade(person.hair.colour, 0.75)
    return colour if person.hair.grey >= 0.6 else mix(colour, DARK, 0.3)


def _paint_age(canvas: Canvas, person: Person) -> None:
    years, shape = person.age_years, person.shape
    colour = shade(person.skin, 0.9 - 0.16 * min(max(years - 38, 0) / 35, 1))
    if years > 38:
        fold = [(shape.nose_width + 0.04, shape.nose_y - 0.02), (0.27, shape.nose_y + 0.1),
                (shape.mouth_width + 0.07, _mouth_y(person))]  # fmt: skip
        canvas.line_pair(fold, colour, 0.022, 0.7)
    if years > 46:
        canvas.line_pair([(0.22, 0.13), (0.36, 0.17), (0.5, 0.12)], colour, 0.018, 0.6)
        canvas.line_pair([(0.57, -0.03), (0.64, -0.06)], colour, 0.014, 0.5)
        canvas.line_pair([(0.57, 0.02), (0.65, 0.03)], colour, 0.014, 0.5)
    for y, from_years in ((-0.45, 52), (-0.54, 52), (-0.63, 62)):
        if years > from_years:
            canvas.line([(-0.34, y + 0.02), (-0.12, y), (0.12, y), (0.34, y + 0.02)], colour, 0.016, 0.4)


def _paint_front_hair(canvas: Canvas, person: Person) -> None:
    hair, edge = person.hair, person.shape.face_width
    if hair.length == "bald":
        return
    close = hair.length in ("receding", "cropped")
    v = 0.0 if close else hair.volume
    line = np.array(HAIRLINES["receding" if hair.length == "receding" else hair.fringe]) * (edge / 0.765, 1)
    if hair.length == "cropped":
        line[:, 1] -= 0.04
    if hair.part > 0:
        line = mirror(line)[::-1]
    ear_y = 0.12 if close or hair.length == "short" else 0.0
    top = [(edge - 0.03, ear_y), (edge + 0.05 + v, -0.3), (0.62 + v * 0.6, -0.9 - v * 0.6), (0, -1.1 - v)]
    canvas.fill(np.concatenate([top, mirror(top[-2::-1]), line]), hair.colour, 0.1)
    if hair.length in LONG_HAIR and hair.length != "bun":
        _paint_locks(canvas, person)
    _paint_strands(canvas, person, v)


def _paint_locks(canvas: Canvas, person: Person) -> None:
    v, edge, end = person.hair.volume, person.shape.face_width, 0.9 if person.hair.length == "bob" else 1.5
    lock = [(edge - 0.1, -0.4), (0.84 + v, -0.35), (0.93 + v, 0.2), (0.9 + v, end * 0.7), (0.76 + v, end),
            (0.7, end * 0.6), (edge - 0.04, 0.2), (edge - 0.04, -0.1)]  # fmt: skip
    canvas.fill_pair(_wave(lock, person.hair.wavy), person.hair.colour, smooth=0)


def _paint_strands(canvas: Canvas, person: Person, v: float) -> None:
    hair = person.hair
    light, dark = shade(hair.colour, 1.14), shade(hair.colour, 0.8)
    part = 0.6 * hair.part if hair.fringe == "side" else 0.0
    for x, colour in ((-0.62, dark), (-0.4, light), (0.4, dark), (0.62, light)):
        strand = [(part + 0.15 * x, -1.02 - v), (x * 0.8, -0.92 - v * 0.7), (x * 1.05, -0.8 - v * 0.4)]
        canvas.line(strand, colour, 0.02, 0.1)
    if hair.length == "long":
        canvas.line_pair([(0.84, -0.1), (0.87 + v * 0.6, 0.5), (0.84 + v * 0.5, 1.1)], dark, 0.02)


def _paint_glasses(canvas: Canvas, person: Person) -> None:
    colour = person.style.glasses
    if colour is None:
        return
    # A superellipse: power 1 gives round glasses, 1/2 nearly rectangular ones.
    power, height = (1.0, 0.24) if person.style.round_glasses else (0.5, 0.19)
    ring = np.sign(circle()) * np.abs(circle()) ** power * (0.27, height) + (0.36, 0.02)
    canvas.line_pair([*ring, *ring[:2]], colour, 0.035, 0.75)
    canvas.line_pair([(0.62, -0.02), (person.shape.face_width + 0.02, 0.0)], colour, 0.035, 0.3)
    canvas.line([(-0.1, 0.0), (0, -0.03), (0.1, 0.0)], colour, 0.035, 0.8)


_LAYERS: Final = (
    _paint_back_hair, _paint_body, _paint_collar, _paint_head, _paint_beard, _paint_nose, _paint_mouth, _paint_eyes,
    _paint_age, _paint_front_hair, _paint_glasses,
)  # fmt: skip
