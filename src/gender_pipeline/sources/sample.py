"""The built-in sample: drawn faces in the archive layouts of CelebA, MUCT and age-gender, and their reader.

Nobody in it is real. Like real data it is not clean: some labels are wrong, some photos are broken, and a few photos
stand under two subjects in slightly different copies, so that validation and splitting have something to find.
"""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from pydantic import Field

from gender_pipeline.errors import SourceError
from gender_pipeline.files import atomic_folder, file_digest
from gender_pipeline.schema import Photo, Settings
from gender_pipeline.sources import age_gender, celeba, muct
from gender_pipeline.sources.canvas import Frame
from gender_pipeline.sources.drawing import N_LANDMARKS, draw_landmarks, draw_photo, encode_jpeg
from gender_pipeline.sources.portrait import CLASSES, Person, Scene, celeba_attributes, sample_person, sample_scene
from gender_pipeline.sources.settings import SourceSettings

GENERATOR_VERSION: Final = 2  # raise it when the same settings give other bytes
MARKER: Final = "sample.json"
README: Final = """\
Drawn faces in the archive layouts of CelebA, MUCT and age-gender.

Everything here was drawn in code by gender_pipeline; no photo shows a real person. The labels are settings of the
generator, namely which distributions of apparent gender a face was drawn from, and a few are wrong on purpose.
A few photos are damaged or copied on purpose too, so that validation and splitting have something to find.
sample.json holds the generator's settings and the sha256 of every file.
"""

CELEBA_FRAME: Final = Frame(178, 218, 89, 111, 57)
MUCT_FRAME: Final = Frame(240, 320, 120, 150, 82)
CELEBA_ATTRIBUTES: Final = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
AGE_GENDER_COLUMNS: Final = (
    "user_id", "original_image", "face_id", "age", "gender", "x", "y", "dx", "dy", "tilt_ang", "fiducial_yaw_angle",
    "fiducial_score",
)  # fmt: skip

# The layout of each subject in turn, repeated: 15 celeba, 6 muct, 11 age_gender of 32.
_LAYOUT_OF: Final = [
    {"c": "celeba", "m": "muct", "a": "age_gender"}[letter] for letter in "cmacacacmcacacamcacacmcaccmacacm"
]
# Every 11 identities; odd, because the classes alternate, so that both classes come into every partition.
_PARTITION_OF: Final = (0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0)
_AGE_BINS: Final = ((0, 2), (4, 6), (8, 12), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100))
# What a camera of MUCT changes: yaw, and the height of the face in face units.
_CAMERAS: Final = {"a": (0.0, 0.0), "b": (-0.5, 0.0), "c": (0.5, 0.02), "d": (0.1, -0.1), "e": (-0.1, 0.1)}
# What befalls the last photo of a layout's n-th subject; a number makes it a near copy of that subject's first photo.
_DEFECTS: Final[dict[tuple[str, int], str | int]] = {
    ("celeba", 4): "truncated", ("celeba", 5): "blank", ("celeba", 6): "png", ("celeba", 7): "duplicate",
    ("celeba", 10): 8, ("celeba", 13): 11, ("muct", 1): "truncated", ("age_gender", 0): "truncated",
    ("age_gender", 2): 0, ("age_gender", 4): "empty", ("age_gender", 9): 7,
}  # fmt: skip


class SampleSettings(Settings):
    """How the built-in sample is drawn.

    Attributes:
        seed: Another seed gives other persons.
        n_subjects: Number of persons over all three layouts; 0 draws nothing. More subjects leave the earlier ones'
            photos as they were.
        label_noise: Share of the subjects whose label is wrong.
    """

    seed: int = Field(7, ge=0)
    n_subjects: int = Field(320, ge=0, le=5000)
    label_noise: float = Field(0.02, ge=0, le=0.5)


def draw_sample(settings: SampleSettings, folder: Path) -> None:
    """Draw the sample into `folder`/{celeba,muct,age_gender}, whole or not at all.

    The same settings give the same bytes. A folder that already holds this sample undamaged is left as it is.
    """
    if settings.n_subjects == 0 or _is_drawn(settings, folder):
        return
    with atomic_folder(folder) as temporary:
        for layout, pack in _PACKERS.items():
            subjects = _subjects(settings, layout)
            if subjects:
                (temporary / layout).mkdir()
                pack(_draw_photos(layout, subjects), temporary / layout)
        _write(temporary / "README.txt", README)
        files = {path.relative_to(temporary).as_posix(): file_digest(path) for path in _files(temporary)}
        _write(temporary / MARKER, json.dumps(_identity(settings) | {"files": files}, indent=2) + "\n")


def read(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Yield the photos of a drawn folder through the readers of its three layouts.

    Names and subject ids begin with the layout's name, since one subject number can occur in two layouts. All photos
    are publishable unless the settings say otherwise: no real person is shown.

    Raises:
        SourceError: The folder holds no drawn sample, or an archive or table in it is damaged.
    """
    folder = root / settings.folder
    layouts = [layout for layout in _READERS if (folder / layout).is_dir()]
    if not layouts:
        raise SourceError(
            f"{folder} holds no drawn sample",
            expected=f"one of the folders {', '.join(_READERS)}",
            remedy="draw it with `gender-pipeline sample`",
        )
    publishable = settings.publishable is not False
    for layout in layouts:
        inner = settings.model_copy(update={"folder": f"{settings.folder}/{layout}", "publishable": publishable})
        for photo in _READERS[layout](root, inner):
            name, subject = f"{layout}/{photo.name}", f"{layout}/{photo.subject_id}"
            yield replace(photo, name=name, subject_id=subject)


@dataclass(frozen=True, slots=True)
class _Subject:
    number: int  # within its layout
    label: str
    person: Person
    seed: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One photo as it goes into an archive, with a generator for what its table row needs at random."""

    subject: _Subject
    number: int  # within its subject
    scene: Scene
    frame: Frame
    data: bytes
    rng: np.random.Generator


def _subjects(settings: SampleSettings, layout: str) -> list[_Subject]:
    overall = [i for i in range(settings.n_subjects) if _LAYOUT_OF[i % len(_LAYOUT_OF)] == layout]
    return [_sample_subject(settings, i, number) for number, i in enumerate(overall)]


def _sample_subject(settings: SampleSettings, overall: int, number: int) -> _Subject:
    seed = (settings.seed, overall)
    rng = np.random.default_rng([*seed, 0])
    drawn_class = CLASSES[number % 2]
    wrong = bool(rng.random() < settings.label_noise)
    label = CLASSES[1 - number % 2] if wrong else drawn_class
    return _Subject(number, label, sample_person(rng, drawn_class), seed)


def _draw_photos(layout: str, subjects: list[_Subject]) -> Iterator[_Drawn]:
    """Draw all photos of a layout in order, and let its defects befall them."""
    firsts: dict[int, bytes] = {}
    for subject in subjects:
        n_photos = _N_PHOTOS[layout](np.random.default_rng([*subject.seed, 1]))
        for number in range(n_photos):
            rng = np.random.default_rng([*subject.seed, 2 + number])
            scene, frame = _scene(layout, subject, number, rng)
            data = draw_photo(subject.person, scene, frame)
            firsts.setdefault(subject.number, data)
            if number == n_photos - 1 and (layout, subject.number) in _DEFECTS:
                data = _spoil(data, _DEFECTS[layout, subject.number], firsts, subject.number)
            yield _Drawn(subject, number, scene, frame, data, rng)


def _scene(layout: str, subject: _Subject, number: int, rng: np.random.Generator) -> tuple[Scene, Frame]:
    if layout == "celeba":
        return sample_scene(rng), CELEBA_FRAME
    if layout == "age_gender":
        side = int(rng.choice([160, 180, 200]))
        return sample_scene(rng), Frame(side, side, 0.5 * side, 0.46 * side, 0.29 * side)
    # The five cameras see one moment: all but the view is that of the first photo.
    moment = sample_scene(np.random.default_rng([*subject.seed, 2]))
    yaw, lift = list(_CAMERAS.values())[number]
    turned = float(np.clip(0.3 * moment.yaw + yaw, -1, 1))
    backdrop = ("plain", *moment.backdrop[1:])
    scene = replace(
        moment, yaw=turned, shift_y=moment.shift_y + lift, backdrop=backdrop, noise_seed=int(rng.integers(2**32))
    )
    return scene, MUCT_FRAME


_N_PHOTOS: Final[dict[str, Callable[[np.random.Generator], int]]] = {
    "celeba": lambda rng: 2 + int(rng.binomial(4, 0.5)),
    "muct": lambda _: len(_CAMERAS),
    "age_gender": lambda rng: 2 + int(rng.binomial(2, 0.36)),
}


def _spoil(data: bytes, defect: str | int, firsts: dict[int, bytes], number: int) -> bytes:
    if defect == "truncated":
        return data[: len(data) // 2]
    if defect == "empty":
        return b""
    if defect == "duplicate":
        return firsts[number]
    image = Image.open(io.BytesIO(firsts[defect] if isinstance(defect, int) else data))
    if defect == "blank":
        return encode_jpeg(Image.new("RGB", image.size, (127, 127, 127)), 90)
    if defect == "png":
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()
    smaller = image.resize((round(image.width * 0.7), round(image.height * 0.7)), Image.Resampling.BILINEAR)
    return encode_jpeg(smaller.resize(image.size, Image.Resampling.BILINEAR), 60)


def _pack_celeba(photos: Iterator[_Drawn], folder: Path) -> None:
    attributes, identities, partitions = list[str](), list[str](), list[str]()
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number, photo in enumerate(photos, start=1):
            name = f"{number:06d}.jpg"
            info = zipfile.ZipInfo(f"img_align_celeba/{name}", (2015, 9, 24, 0, 0, 0))
            info.create_system = 3  # Unix, wherever this runs: the bytes must not depend on it
            archive.writestr(info, photo.data)
            attributes.append(f"{name} " + " ".join(f"{value:2d}" for value in _attribute_values(photo)))
            # 10,177 is prime, so no two subjects get one identity.
            identities.append(f"{name} {photo.subject.number * 7919 % 10177 + 1}")
            partitions.append(f"{name} {_PARTITION_OF[photo.subject.number % len(_PARTITION_OF)]}")
    header = [str(len(attributes)), " ".join(CELEBA_ATTRIBUTES) + " "]
    _write(folder / "list_attr_celeba.txt", _lines(header + attributes))
    _write(folder / "identity_CelebA.txt", _lines(identities))
    _write(folder / "list_eval_partition.txt", _lines(partitions))


def _attribute_values(photo: _Drawn) -> list[int]:
    """Give the 40 attributes as 1 and -1."""
    true = celeba_attributes(photo.subject.person, photo.scene) | {"Male": photo.subject.label == "male"}
    return [1 if true.get(name, False) else -1 for name in CELEBA_ATTRIBUTES]


def _pack_muct(photos: Iterator[_Drawn], folder: Path) -> None:
    by_camera: dict[str, list[tuple[str, bytes]]] = {camera: [] for camera in _CAMERAS}
    rows = ["name,tag," + ",".join(f"x{point:02d},y{point:02d}" for point in range(N_LANDMARKS))]
    for photo in photos:
        subject, camera = photo.subject, list(_CAMERAS)[photo.number]
        light = "qrstuvwxyz"[subject.number % 10]
        glasses = "n" if subject.person.style.glasses is None else "g"
        name = f"i{subject.number:03d}{light}{camera}-{subject.label[0]}{glasses}"
        by_camera[camera].append((f"jpg/{name}.jpg", photo.data))
        if subject.number % 9 != 1:  # the real table lacks some subjects too
            points = draw_landmarks(subject.person, photo.scene, photo.frame)
            rows.append(f"{name},0," + ",".join(f"{value:.1f}" for value in points.ravel()))
    for camera, members in by_camera.items():
        with _tar_gz(folder / f"muct-{camera}-jpg-v1.tar.gz") as add:
            for name, data in members:
                add(name, data)
    with _tar_gz(folder / "muct-landmarks-v1.tar.gz") as add:
        add("muct-landmarks/muct76-opencv.csv", _lines(rows).encode())


def _pack_age_gender(photos: Iterator[_Drawn], folder: Path) -> None:
    folds = [["\t".join(AGE_GENDER_COLUMNS)] for _ in range(5)]
    with _tar_gz(folder / "agegender_cleaned.tar.gz") as add:
        for photo in photos:
            subject, first = photo.subject, photo.number == 0
            user, original = _age_gender_names(photo)
            face = subject.number * 7 + photo.number + 1
            # As in the original, some rows lack their photo and some photos their row.
            if not (first and subject.number % 25 == 3):
                add(f"agegender_cleaned/aligned/{user}/landmark_aligned_face.{face}.{original}", photo.data)
            if not (first and subject.number % 25 == 1):
                side = photo.frame.width_px
                values = (
                    user,
                    original,
                    face,
                    *_age_and_gender(photo),
                    0,
                    0,
                    side,
                    side,
                    0,
                    0,
                    int(photo.rng.integers(100)),
                )
                folds[subject.number % 5].append("\t".join(str(value) for value in values))
        for number, rows in enumerate(folds):
            add(f"agegender_cleaned/fold_{number}_data.txt", _lines(rows).encode())


def _age_gender_names(photo: _Drawn) -> tuple[str, str]:
    """Name the user and the original image as Flickr would."""
    number = photo.subject.number
    user = f"{10_000_000 + number}@N{number % 9:02d}"
    return user, f"{9_000_000_000 + number * 100 + photo.number}_{int(photo.rng.integers(16**10)):010x}_o.jpg"


def _age_and_gender(photo: _Drawn) -> tuple[str, str]:
    """Write age (bin, single year or None) and gender (f, m, u or empty) as the original tables do."""
    years = photo.subject.person.age_years
    nearest = min(_AGE_BINS, key=lambda ages: max(ages[0] - years, years - ages[1], 0))
    age = photo.rng.choice([str(nearest), str(int(years)), "None"], p=[0.55, 0.35, 0.1])
    gender = photo.rng.choice([photo.subject.label[0], "u", ""], p=[0.94, 0.03, 0.03])
    return str(age), str(gender)


_PACKERS: Final[dict[str, Callable[[Iterator[_Drawn], Path], None]]] = {
    "celeba": _pack_celeba,
    "muct": _pack_muct,
    "age_gender": _pack_age_gender,
}
_READERS: Final[dict[str, Callable[[Path, SourceSettings], Iterator[Photo]]]] = {
    "celeba": celeba.read,
    "muct": muct.read,
    "age_gender": age_gender.read,
}


@contextmanager
def _tar_gz(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Give a function that adds a member; no time, owner or file name gets into the bytes."""
    with (
        path.open("wb") as file,
        # Level 1: photos are compressed already.
        gzip.GzipFile("", "wb", 1, file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        yield add


def _is_drawn(settings: SampleSettings, folder: Path) -> bool:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        files = marker.pop("files")
        return marker == _identity(settings) and all(
            file_digest(folder / name) == digest for name, digest in files.items()
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False  # no marker, a damaged one, or a file is missing


def _identity(settings: SampleSettings) -> dict[str, object]:
    return {"generator": GENERATOR_VERSION, "settings": settings.model_dump()}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _lines(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    # Bytes, so that Windows does not change the line ends.
    path.write_bytes(text.encode())
