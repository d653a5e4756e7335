"""Who is drawn and how the photo is taken: the random persons and scenes of the built-in sample.

Every feature is drawn from a distribution of its class, and all of them overlap: women with short hair, men with long
hair, men without a beard, women without make-up. No feature decides the class, so no model can be perfect.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

Colour = tuple[int, int, int]
_T = TypeVar("_T")

CLASSES: Final = ("female", "male")
N_BACKGROUND_NUMBERS: Final = 24

SKINS: Final = (
    (250, 222, 200),
    (241, 202, 172),
    (228, 184, 148),
    (208, 158, 120),
    (176, 124, 88),
    (141, 94, 66),
    (102, 67, 48),
)
HAIRS: Final = {
    "black": (36, 30, 34),
    "dark brown": (68, 45, 36),
    "brown": (108, 70, 46),
    "blond": (212, 170, 106),
    "red": (150, 74, 42),
}
GREY_HAIR: Final = (196, 194, 196)
IRISES: Final = ((82, 54, 38), (104, 72, 44), (92, 112, 76), (78, 116, 150), (96, 104, 112))
LIPSTICKS: Final = ((190, 48, 62), (206, 84, 98), (160, 44, 76), (214, 104, 92))
FRAMES: Final = ((44, 40, 46), (110, 70, 44), (150, 44, 52), (150, 140, 120))
CLOTHES: Final = (
    (58, 84, 128), (150, 62, 66), (70, 112, 96), (232, 226, 214), (52, 54, 64), (198, 150, 84), (126, 96, 148),
    (206, 138, 146), (110, 134, 160), (92, 102, 70),
)  # fmt: skip
BACKDROPS: Final = (
    (206, 216, 222), (222, 208, 190), (178, 196, 186), (148, 168, 190), (228, 222, 214), (112, 124, 136),
    (190, 160, 142), (92, 108, 100), (206, 188, 206), (70, 80, 98),
)  # fmt: skip
LONG_HAIR: Final = ("bob", "long", "bun")
CHILD_YEARS: Final = 14.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Geometry in face units: the origin lies between the eyes, the chin about one unit below."""

    face_width: float
    jaw_width: float
    chin_width: float
    chin_y: float
    brow_thickness: float
    brow_y: float
    brow_arch: float
    eye_size: float
    eye_tilt: float
    nose_width: float
    nose_y: float
    lip_fullness: float
    mouth_width: float
    neck_width: float
    shoulder_width: float


@dataclass(frozen=True, slots=True)
class Hair:
    """Cut and colour; `length` is bald, receding, cropped, short, bob, long or bun."""

    name: str
    colour: Colour
    grey: float
    length: str
    fringe: str
    wavy: bool
    volume: float
    part: float


@dataclass(frozen=True, slots=True)
class Style:
    """What a person chooses to wear; None or "none" where nothing is worn."""

    lipstick: Colour | None
    lashes: bool
    blush: bool
    earrings: bool
    necklace: bool
    necktie: bool
    glasses: Colour | None
    round_glasses: bool
    beard: str
    collar: str
    clothes: Colour


@dataclass(frozen=True, slots=True)
class Person:
    """One subject, the same in all of the subject's photos."""

    drawn_class: str
    age_years: float
    skin: Colour
    iris: Colour
    freckles: bool
    shape: Shape
    hair: Hair
    style: Style


@dataclass(frozen=True, slots=True)
class Scene:
    """How one photo of a subject is taken: pose, expression, light, background and camera.

    Attributes:
        yaw: Turn of the head, -1 (to the viewer's left) to 1.
        roll: Tilt in degrees.
        smile: From -0.3 (a frown) to 1.
        light: Brightness, and its change from left to right and from top to bottom.
        backdrop: Kind of background and its two colours.
        numbers: Uniform numbers (24,) in [0, 1) that place the background's things.
        quality: JPEG quality.
    """

    yaw: float
    roll: float
    scale: float
    shift_x: float
    shift_y: float
    smile: float
    mouth_open: bool
    look: float
    light: tuple[float, float, float]
    warmth: float
    backdrop: tuple[str, Colour, Colour]
    numbers: tuple[float, ...]
    blur_px: float
    noise: float
    noise_seed: int
    quality: int


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two colours; `share` in [0, 1] is that of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Darken (factor below 1) or lighten (above 1) a colour."""
    return mix((0, 0, 0), colour, factor) if factor <= 1 else mix(colour, (255, 255, 255), factor - 1)


def sample_person(rng: np.random.Generator, drawn_class: str) -> Person:
    """Draw a subject of a class (`female` or `male`)."""
    male = drawn_class == "male"
    age = _sample_age(rng)
    skin_at = rng.uniform(0, len(SKINS) - 1.001)
    skin = mix(SKINS[int(skin_at)], SKINS[int(skin_at) + 1], skin_at % 1)
    # One latent number couples the geometry, so that many small hints do not add up to certainty.
    build = 0.0 if age < CHILD_YEARS else rng.normal(1.6 if male else -1.6)
    return Person(
        drawn_class=drawn_class,
        age_years=age,
        skin=skin,
        iris=_pick(rng, IRISES[: 2 if skin_at > 3 else None]),
        freckles=bool(skin_at < 2 and rng.random() < 0.2),
        shape=_sample_shape(rng, build, child=age < CHILD_YEARS),
        hair=_sample_hair(rng, male, age, dark=skin_at > 3),
        style=_sample_style(rng, male, age),
    )


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw one photo's pose, expression, light and background."""
    colours = [shade(_pick(rng, BACKDROPS), rng.uniform(0.85, 1.1)) for _ in range(2)]
    return Scene(
        yaw=float(np.clip(rng.normal(0, 0.4), -1, 1)),
        roll=float(np.clip(rng.normal(0, 4), -12, 12)),
        scale=float(rng.uniform(0.93, 1.08)),
        shift_x=float(rng.normal(0, 0.03)),
        shift_y=float(rng.normal(0, 0.03)),
        smile=float(np.clip(rng.normal(0.4, 0.4), -0.3, 1)),
        mouth_open=bool(rng.random() < 0.35),
        look=float(rng.uniform(-0.3, 0.3)),
        light=(float(rng.uniform(0.84, 1.08)), float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.2, 0.05))),
        warmth=float(rng.normal(0.01, 0.025)),
        backdrop=(_pick(rng, ("plain", "circles", "hills", "shelf", "window")), colours[0], colours[1]),
        numbers=tuple(rng.random(N_BACKGROUND_NUMBERS).tolist()),
        blur_px=float(max(rng.normal(0, 0.3), 0)),
        noise=float(rng.uniform(0.5, 3)),
        noise_seed=int(rng.integers(2**32)),
        quality=int(rng.integers(72, 92)),
    )


def celeba_attributes(person: Person, scene: Scene) -> dict[str, bool]:
    """Say which of CelebA's attributes hold for a photo; those not named (`Wearing_Hat`) do not."""
    return _face_attributes(person, scene) | _hair_attributes(person) | _style_attributes(person)


def _face_attributes(person: Person, scene: Scene) -> dict[str, bool]:
    shape, age = person.shape, person.age_years
    return {
        "Arched_Eyebrows": shape.brow_arch > 0.075,
        "Bags_Under_Eyes": age > 55,
        "Big_Lips": shape.lip_fullness > 1.12,
        "Big_Nose": shape.nose_width > 0.19,
        "Blurry": scene.blur_px > 0.8,
        "Bushy_Eyebrows": shape.brow_thickness > 0.075,
        "Chubby": shape.jaw_width > 0.72,
        "Double_Chin": shape.jaw_width > 0.74,
        "High_Cheekbones": scene.smile > 0.6,
        "Mouth_Slightly_Open": scene.mouth_open,
        "Narrow_Eyes": shape.eye_size < 0.92,
        "Oval_Face": shape.jaw_width < 0.6,
        "Pale_Skin": person.skin[2] > 190,
        "Pointy_Nose": shape.nose_width < 0.15,
        "Smiling": scene.smile > 0.35,
        "Young": age < 42,
    }


def _hair_attributes(person: Person) -> dict[str, bool]:
    hair = person.hair
    seen = hair.length != "bald" and hair.grey < 0.5
    return {
        "Bald": hair.length == "bald",
        "Bangs": hair.fringe == "straight",
        "Black_Hair": seen and hair.name == "black",
        "Blond_Hair": seen and hair.name == "blond",
        "Brown_Hair": seen and "brown" in hair.name,
        "Gray_Hair": hair.length != "bald" and hair.grey >= 0.5,
        "Receding_Hairline": hair.length == "receding",
        "Straight_Hair": hair.length in LONG_HAIR and not hair.wavy,
        "Wavy_Hair": hair.length in LONG_HAIR and hair.wavy,
    }


def _style_attributes(person: Person) -> dict[str, bool]:
    style = person.style
    return {
        "5_o_Clock_Shadow": style.beard == "stubble",
        "Attractive": person.age_years < 35 and style.lashes,
        "Eyeglasses": style.glasses is not None,
        "Goatee": style.beard == "goatee",
        "Heavy_Makeup": style.lashes and style.lipstick is not None,
        "Mustache": style.beard == "moustache",
        "No_Beard": style.beard in ("none", "moustache"),
        "Rosy_Cheeks": style.blush,
        "Sideburns": style.beard == "full",
        "Wearing_Earrings": style.earrings,
        "Wearing_Lipstick": style.lipstick is not None,
        "Wearing_Necklace": style.necklace,
        "Wearing_Necktie": style.necktie,
    }


def _pick(rng: np.random.Generator, values: tuple[_T, ...], weights: tuple[float, ...] | None = None) -> _T:
    return values[int(rng.choice(len(values), p=weights))]


def _sample_age(rng: np.random.Generator) -> float:
    group = rng.random()
    if group < 0.05:
        return float(rng.uniform(5, CHILD_YEARS))
    if group < 0.7:
        return float(np.clip(rng.normal(30, 8), 16, 50))
    return float(rng.uniform(40, 78))


def _sample_shape(rng: np.random.Generator, build: float, *, child: bool) -> Shape:
    def vary(middle: float, by_build: float, spread: float) -> float:
        return float(middle + by_build * build + spread * np.clip(rng.normal(), -2.2, 2.2))

    young = 1.0 if child else 0.0
    return Shape(
        face_width=vary(0.765 + 0.02 * young, 0.008, 0.03),
        jaw_width=vary(0.645, 0.034, 0.03),
        chin_width=vary(0.30, 0.03, 0.03),
        chin_y=vary(1.12 - 0.12 * young, 0.02, 0.03),
        brow_thickness=vary(0.062, 0.012, 0.01),
        brow_y=vary(-0.238, 0.015, 0.016),
        brow_arch=vary(0.06, -0.014, 0.014),
        eye_size=vary(1.04 + 0.12 * young, -0.05, 0.06),
        eye_tilt=vary(0.012, -0.004, 0.014),
        nose_width=vary(0.17, 0.01, 0.014),
        nose_y=vary(0.43 - 0.04 * young, 0.008, 0.02),
        lip_fullness=vary(1.0, -0.1, 0.13),
        mouth_width=vary(0.27, 0.004, 0.02),
        neck_width=vary(0.42 - 0.07 * young, 0.038, 0.022),
        shoulder_width=vary(1.22 - 0.15 * young, 0.09, 0.07),
    )


def _sample_hair(rng: np.random.Generator, male: bool, age: float, *, dark: bool) -> Hair:
    thinning = male and age > 28 and rng.random() < 0.3
    long_share = 0.08 if male else 0.82
    if thinning or rng.random() < 0.01:
        length = _pick(rng, ("bald", "receding"))
    elif rng.random() < long_share:
        length = _pick(rng, LONG_HAIR, (0.3, 0.5, 0.2))
    else:
        length = _pick(rng, ("cropped", "short"), (0.5, 0.5) if male else (0.2, 0.8))
    weights = (0.6, 0.3, 0.06, 0.02, 0.02) if dark else (0.2, 0.25, 0.27, 0.2, 0.08)
    name = _pick(rng, tuple(HAIRS), weights)
    grey = float(np.clip(rng.normal((age - 52) / 14, 0.35), 0, 1)) if age > 35 else 0.0
    return Hair(
        name=name,
        colour=mix(HAIRS[name], GREY_HAIR, grey),
        grey=grey,
        length=length,
        fringe=_pick(rng, ("back", "side", "straight", "curtain"), (0.3, 0.35, 0.17, 0.18)),
        wavy=bool(rng.random() < (0.6 if dark else 0.4)),
        volume=float(rng.uniform(0.02, 0.14)),
        part=float(rng.choice([-1, 1]) * rng.uniform(0.1, 0.35)),
    )


def _sample_style(rng: np.random.Generator, male: bool, age: float) -> Style:
    adult = age >= CHILD_YEARS + 2
    made_up = adult and rng.random() < (0.03 if male else 0.68)
    bearded = adult and rng.random() < (0.52 if male else 0.006)
    collar = _pick(
        rng,
        ("crew", "vneck", "shirt", "turtleneck", "scoop"),
        (0.28, 0.1, 0.46, 0.1, 0.06) if male else (0.22, 0.2, 0.14, 0.08, 0.36),
    )
    return Style(
        lipstick=_pick(rng, LIPSTICKS) if made_up and rng.random() < 0.8 else None,
        lashes=bool(made_up),
        blush=bool(rng.random() < (0.6 if made_up else 0.15)),
        earrings=bool(rng.random() < (0.06 if male else 0.5)),
        necklace=bool(collar in ("vneck", "scoop") and rng.random() < (0.1 if male else 0.4)),
        necktie=bool(collar == "shirt" and adult and rng.random() < (0.45 if male else 0.05)),
        glasses=_pick(rng, FRAMES) if rng.random() < 0.22 else None,
        round_glasses=bool(rng.random() < 0.5),
        beard=_pick(rng, ("stubble", "moustache", "goatee", "full"), (0.3, 0.1, 0.18, 0.42)) if bearded else "none",
        collar=collar,
        clothes=_pick(rng, CLOTHES),
    )
