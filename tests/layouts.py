"""Small data sets in their original layouts, for tests. The "photos" are noise: no reader decodes them."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gender_pipeline.sources import SourceSettings
from gender_pipeline.sources.sample import SampleSettings, draw_sample

ATTRIBUTES = ("Male", "Young", "Smiling")


def noise(seed: int, size: int = 5000) -> bytes:
    """Bytes that do not compress, so that an archive's members lie apart."""
    return np.random.default_rng(seed).bytes(size)


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files as what the path's suffix says: `.zip`, `.tar.gz`, `.tar`, or a folder beside the files' names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    elif ".tar" in path.name:
        with tarfile.open(path, "w:gz" if path.name.endswith(".gz") else "w") as archive:
            for name, data in files.items():
                add(archive, name, data)
    else:
        for name, data in files.items():
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / name).write_bytes(data)
    return path


def add(archive: tarfile.TarFile, name: str, data: bytes = b"", **header: object) -> None:
    """Add a member to a tar file, with fields of the header as given."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in header.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


def celeba(folder: Path, packing: str = ".zip", n_photos: int = 6) -> SourceSettings:
    """Write CelebA: photo i is a man where i is odd, young where i is 0 or 1 modulo 4, of identity i // 2."""
    names = [f"{number:06}.jpg" for number in range(n_photos)]
    pack(folder / f"img_align_celeba{packing}", {f"img_align_celeba/{n}": noise(i) for i, n in enumerate(names)})
    rows = [f"{n} {' 1' if i % 2 else '-1'} {' 1' if i % 4 < 2 else '-1'} -1" for i, n in enumerate(names)]
    write_table(folder / "list_attr_celeba.txt", [str(n_photos), " ".join(ATTRIBUTES), *rows])
    write_table(folder / "identity_CelebA.txt", [f"{name} {number // 2}" for number, name in enumerate(names)])
    write_table(folder / "list_eval_partition.txt", [f"{name} {number % 3}" for number, name in enumerate(names)])
    return SourceSettings(reader="celeba", folder=folder.name)


def muct(folder: Path, packing: str = ".tar.gz", subjects: tuple[int, ...] = (0, 500, 501)) -> SourceSettings:
    """Write MUCT with cameras a and b; even subjects are women with glasses; landmarks for the first subject alone."""
    for camera in "ab":
        names = [f"jpg/i{number:03}q{camera}-{'mn' if number % 2 else 'fg'}.jpg" for number in subjects]
        files = {name: noise(1000 * ord(camera) + i) for i, name in enumerate(names)}
        pack(folder / f"muct-{camera}-jpg-v1{packing}" if packing else folder / "jpg", files)
    header = ",".join(["name", "tag", *(f"{axis}{point:02}" for point in range(76) for axis in "xy")])
    rows = [f"i{subjects[0]:03}qa-fg,0,0,0,{','.join(['12.5,20'] * 75)}", f"i999qa-mn,0,{','.join(['1,2'] * 76)}"]
    table = "\r\n".join([header, *rows, "ir" + rows[0][1:]]).encode()
    pack(folder / f"muct-landmarks-v1{packing}", {"muct-landmarks-v1/muct76-opencv.csv": table})
    return SourceSettings(reader="muct", folder=folder.name)


FOLD_COLUMNS = ("user_id", "original_image", "face_id", "age", "gender", "x", "y", "dx", "dy", "tilt_ang",
                "fiducial_yaw_angle", "fiducial_score")  # fmt: skip
FACES = (
    ("7@N01", "9_a_o.jpg", "1", "(25, 32)", "f"),
    ("7@N01", "9_b_o.jpg", "2", "35", "f"),
    ("8@N02", "9_c_o.jpg", "3", "None", "m"),
    ("9@N03", "9_d_o.jpg", "4", "(0, 2)", "u"),
    ("9@N03", "9_e_o.jpg", "5", "(8, 12)", ""),
)


def age_gender(folder: Path, packing: str = ".tar.gz", *, tables: str = "last") -> SourceSettings:
    """Write Adience's photos, each user in the fold of the id's first digit modulo 5; tables first, last or beside."""
    top = "agegender_cleaned"
    photos = {face_path(face): noise(number) for number, face in enumerate(FACES)}
    contents = {f"{top}/fold_{k}_data.txt": fold_table([f for f in FACES if int(f[0][0]) % 5 == k]) for k in range(5)}
    if tables == "beside":
        for name, data in contents.items():
            folder.mkdir(exist_ok=True)
            (folder / Path(name).name).write_bytes(data)
        contents = {}
    pack(folder / f"{top}{packing}", {**contents, **photos} if tables == "first" else {**photos, **contents})
    return SourceSettings(reader="age_gender", folder=folder.name)


def face_path(face: tuple[str, ...], kind: str = "aligned/{}/landmark_aligned_face") -> str:
    """Give the place that a face of the tables has in the archive."""
    return f"agegender_cleaned/{kind.format(face[0])}.{face[2]}.{face[1]}"


def fold_table(faces: list[tuple[str, ...]]) -> bytes:
    """Write one fold's table."""
    lines = ["\t".join(FOLD_COLUMNS), *("\t".join([*face, "0\t0\t200\t200\t5\t-15\t76"]) for face in faces)]
    return ("\n".join(lines) + "\n").encode()


PEDESTRIANS = {
    "3DPeS": (
        "1 personalMale personalLess30 hairShort\n2 personalFemale personalLess45",
        ("1_1_a.bmp", "1_2_a.bmp", "2_1_b.bmp"),
    ),
    "CUHK": ("0001.png personalLarger60 personalFemale\n0002.png personalMale", ("0001.png", "0002.png")),
}


def peta(
    folder: Path, packing: str = ".zip", pedestrians: Mapping[str, tuple[str, tuple[str, ...]]] = PEDESTRIANS
) -> SourceSettings:
    """Write PETA's sub-sets, each as its label file and its photos."""
    files = {}
    for sub_set, (labels, photos) in pedestrians.items():
        place = f"PETA dataset/{sub_set}/archive"
        files |= {f"{place}/{name}": noise(number) for number, name in enumerate(photos)}
        files[f"{place}/Label.txt"] = f"{labels}\n".encode()
    pack(folder / (f"PETA{packing}" if packing else "PETA dataset"), files)
    return SourceSettings(reader="peta", folder=folder.name)


RAP_ATTRIBUTES = ("Female", "AgeLess16", "Age17-30", "hs-LongHair")
RAP_NAMES = (
    "CAM01-2014-02-15-20140215161032-20140215162620-tarid0-frame218-line1.png",
    "CAM01-2014-02-15-20140215161032-20140215162620-tarid0-frame298-line1.png",
    "CAM31_2014-03-18_20140318125002-20140318125546_tarid91_frame2631_line1.png",
    "CAM29-2014-02-22-20140222103914-20140222104502-tarid7-frame4080-line2.png",
)


def rap(folder: Path, packing: str = ".zip", **changes: Any) -> SourceSettings:
    """Write RAP: a man twice, a girl with long hair, somebody unclear; the first three are for training."""
    pack(
        folder / f"RAP_dataset{packing}",
        {f"RAP_dataset/{name}": noise(number) for number, name in enumerate(RAP_NAMES)},
    )
    pack(folder / f"RAP_annotation{packing}", {"RAP_annotation/RAP_annotation.mat": rap_annotation(**changes)})
    return SourceSettings(reader="rap", folder=folder.name)


def rap_annotation(*, variable: str = "RAP_annotation", compress: bool = True, **changes: Any) -> bytes:
    """Write the MATLAB file, with some of the struct's fields changed, added, or left out (None)."""
    from scipy.io import savemat

    def cell(values: Sequence[Any]) -> np.ndarray:
        column = np.empty((len(values), 1), object)
        column[:, 0] = values
        return column

    partition = {"train_index": np.array([[1, 2, 3]], np.uint16), "test_index": np.array([[4]], np.uint8)}
    other = {"train_index": np.array([[4.0]]), "test_index": np.array([[1.0, 2.0, 3.0]])}
    fields = {
        "partition": cell([partition, other]),
        "label": np.array([[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 1], [2, 0, 0, 2]], np.uint8),
        "attribute_chinese": cell(["\u5973"] * 4),
        "attribute_eng": cell(RAP_ATTRIBUTES),
        "position": np.zeros((4, 16)),
        "imagesname": cell(RAP_NAMES),
    } | {name: cell(value) if isinstance(value, tuple) else value for name, value in changes.items()}
    file = io.BytesIO()
    kept = {name: value for name, value in fields.items() if value is not None}
    savemat(file, {variable: kept}, do_compression=compress)
    return file.getvalue()


def folder(folder: Path, packing: str = "") -> SourceSettings:
    """Write two classes of three photos."""
    names = [f"{folder.name}/{label}/{number:03}.jpg" for label in ("cat", "dog") for number in range(3)]
    pack(folder.with_name(f"{folder.name}{packing}"), {name: noise(number) for number, name in enumerate(names)})
    return SourceSettings(reader="folder", folder=folder.name)


def sample(folder: Path) -> SourceSettings:
    """Draw the smallest sample that has all three layouts."""
    draw_sample(SampleSettings(n_subjects=4), folder)
    return SourceSettings(reader="sample", folder=folder.name)


def write_table(path: Path, lines: list[str], newline: str = "\n") -> None:
    """Write lines as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((newline.join(lines) + newline).encode())


LAYOUTS: dict[str, Callable[[Path], SourceSettings]] = {
    "muct": muct, "celeba": celeba, "age_gender": age_gender, "peta": peta, "rap": rap, "folder": folder,
    "sample": sample,
}  # fmt: skip
