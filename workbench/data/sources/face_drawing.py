"""Faces that are drawn, not photographed: data for trials, tests and demos that every machine has.

An identity is a set of proportions and colours; an image of it adds pose, light, expression,
occlusion, background and noise. Light and background are drawn wide on purpose, so that mean colours
tell little: a network has to learn the proportions. Everything follows from (seed, identity, image),
so image 7 of identity 3 is the same in a set of ten and in a set of a thousand.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

Grid = tuple[np.ndarray, np.ndarray]

CHUNK = 32  # images drawn together: their arrays stay within the processor's cache
DRAWING = 1  # raised whenever the same settings would give other pixels

# name: lowest and highest value of what makes an identity; lengths in half image sides
IDENTITY = {
    "width": (0.44, 0.62),
    "height": (0.62, 0.82),
    "taper": (0.0, 0.5),
    "skin": (0.0, 1.0),
    "skin_red": (-0.06, 0.06),
    "hair": (0.0, 1.0),
    "hair_red": (0.0, 1.0),
    "hairline": (0.35, 0.85),
    "hair_side": (1.0, 1.3),
    "hair_long": (-0.2, 0.7),
    "eye_gap": (0.17, 0.31),
    "eye_y": (-0.25, -0.02),
    "eye_width": (0.07, 0.13),
    "eye_open": (0.4, 0.8),
    "slant": (-0.3, 0.3),
    "iris": (0.0, 1.0),
    "brow_y": (0.1, 0.2),
    "brow_thick": (0.015, 0.05),
    "brow_tilt": (-0.35, 0.35),
    "brow_dark": (0.3, 1.0),
    "nose_long": (0.16, 0.34),
    "nose_wide": (0.05, 0.13),
    "mouth_y": (0.34, 0.5),
    "mouth_wide": (0.13, 0.3),
    "lip": (0.025, 0.07),
    "lip_red": (0.0, 1.0),
    "beard": (-1.5, 1.0),
    "glasses": (-3.0, 1.0),
    "mole_x": (-0.35, 0.35),
    "mole_y": (0.0, 0.5),
    "mole": (-1.0, 1.0),
}

# name: half the spread of what changes from image to image at variation 1
IMAGE = {
    "yaw": 0.45,
    "pitch": 0.12,
    "roll": 0.22,
    "zoom": 0.1,
    "shift_x": 0.1,
    "shift_y": 0.08,
    "smile": 1.0,
    "blink": 1.0,
    "brow_raise": 0.05,
    "light_x": 0.45,
    "light_y": 0.3,
    "gain": 0.45,
    "red": 0.12,
    "blue": 0.12,
    "gradient": 0.4,
}


def draw(
    seed: int,
    identities: np.ndarray,
    images: np.ndarray,
    size: int,
    variation: float,
    occlusion: float,
    noise: float,
) -> np.ndarray:
    """Return uint8 [n, size, size, 3]: image `images[k]` of identity `identities[k]` for each k.

    `variation` scales pose, light and expression, `occlusion` is the share of partly hidden faces,
    `noise` the standard deviation of pixel noise in grey levels of 255.
    """
    result = np.empty((len(identities), size, size, 3), np.uint8)

    def chunk(start: int) -> None:
        part = slice(start, start + CHUNK)
        generators = [
            np.random.default_rng([seed, int(i), int(k)]) for i, k in zip(identities[part], images[part])
        ]
        who = _identity(seed, identities[part])
        how = _conditions(generators, variation)
        canvas = _face(who, how, size)
        _occlude(canvas, generators, occlusion)
        grain = np.stack([g.standard_normal((size, size, 1), np.float32) for g in generators])
        canvas += grain * np.float32(noise / 255)
        result[part] = np.clip(canvas * 255 + 0.5, 0, 255)

    with ThreadPoolExecutor() as pool:  # NumPy gives up the interpreter's lock while it computes
        list(pool.map(chunk, range(0, len(identities), CHUNK)))
    return result


def teacher(seed: int, identities: np.ndarray, images: np.ndarray, size: int) -> np.ndarray:
    """Return float32 unit vectors [n, size], near to each other for one identity: a drawn teacher."""
    rows = []
    for identity, image in zip(identities, images):
        centre = np.random.default_rng([seed, int(identity), 1, 1]).standard_normal(size)
        row = centre + 0.3 * np.random.default_rng([seed, int(identity), int(image), 2]).standard_normal(size)
        rows.append(row / np.linalg.norm(row))
    return np.asarray(rows, np.float32)


def _identity(seed: int, identities: np.ndarray) -> dict[str, np.ndarray]:
    """Return the proportions and colours of each identity, each shaped [n, 1, 1]."""
    rows = np.stack([np.random.default_rng([seed, int(i)]).random(len(IDENTITY)) for i in identities])
    return {
        name: (low + (high - low) * rows[:, column]).astype(np.float32)[:, None, None]
        for column, (name, (low, high)) in enumerate(IDENTITY.items())
    }


def _conditions(generators: list[np.random.Generator], variation: float) -> dict[str, np.ndarray]:
    """Return pose, light, expression and background of each image, each shaped [n, 1, 1] or [n, 1, 1, 3]."""
    rows = np.stack([g.uniform(-1, 1, len(IMAGE)) for g in generators])
    how = {
        name: (spread * variation * rows[:, column]).astype(np.float32)[:, None, None]
        for column, (name, spread) in enumerate(IMAGE.items())
    }
    how["background"] = np.stack([g.random(3) for g in generators]).astype(np.float32)[:, None, None]
    return how


def _oval(u: np.ndarray, v: np.ndarray, a: object, b: object, edge: float = 5.0) -> np.ndarray:
    """Return how far a point lies inside the ellipse of half axes a and b: 0 outside, 1 inside, soft edge."""
    return np.clip((1.0 - (u / a) ** 2 - (v / b) ** 2) * edge + 0.5, 0, 1)


def _paint(canvas: np.ndarray, cover: np.ndarray, colour: np.ndarray | np.float32) -> None:
    canvas += cover[..., None] * (colour - canvas)


def _mixed(share: np.ndarray, first: tuple[float, ...], second: tuple[float, ...]) -> np.ndarray:
    """Return colours [n, 1, 1, 3] between two."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return a + share[..., None] * (b - a)


def _face(who: dict[str, np.ndarray], how: dict[str, np.ndarray], size: int) -> np.ndarray:
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    y, x = line[None, :, None], line[None, None, :]
    canvas = how["background"] * (1 + how["gradient"] * (x + y) / 2)[..., None]
    cosine, sine, zoom = np.cos(how["roll"]), np.sin(how["roll"]), 1 + how["zoom"]
    u = ((x - how["shift_x"]) * cosine + (y - how["shift_y"]) * sine) / zoom
    v = ((y - how["shift_y"]) * cosine - (x - how["shift_x"]) * sine) / zoom
    skin = _mixed(who["skin"], (0.38, 0.25, 0.18), (0.93, 0.76, 0.66))
    skin = skin + who["skin_red"][..., None] * np.asarray([1, -0.3, -0.7], np.float32)
    hair = _mixed(who["hair"], (0.07, 0.06, 0.06), (0.8, 0.65, 0.4))
    hair = hair + (0.15 * who["hair_red"])[..., None] * np.asarray([1, 0, -0.3], np.float32)
    _head(canvas, (u, v), who, skin, hair)
    turn = 0.28 * np.sin(how["yaw"])  # features lie in front of the axis that the head turns about
    features = (u - turn, v - how["pitch"])
    _eyes(canvas, features, who, how, hair)
    _nose_and_mouth(canvas, features, who, how, skin, hair)
    light = (1 + how["gain"]) * (1 + how["light_x"] * u + how["light_y"] * v)
    tint = 1 + np.concatenate([how["red"], np.zeros_like(how["red"]), how["blue"]], axis=-1)[:, :, None]
    canvas *= light[..., None] * tint
    return canvas


def _head(
    canvas: np.ndarray, at: Grid, who: dict[str, np.ndarray], skin: np.ndarray, hair: np.ndarray
) -> None:
    u, v = at
    width = who["width"] * (1 - who["taper"] * np.clip(v, 0, 1))
    reach = who["width"] * who["hair_side"]
    long = np.clip((who["hair_long"] - v) * 6 + 0.5, 0, 1)
    _paint(canvas, _oval(u, v + 0.08, reach, who["height"] * 1.12) * long, hair)
    neck = _oval(u, v - 0.95, who["width"] * 0.55, 0.4)
    _paint(canvas, neck, skin * 0.8)
    face = _oval(u, v, width, who["height"], 8.0)
    _paint(canvas, face, skin * (1 - 0.25 * (u / who["width"]) ** 2)[..., None])
    fringe = np.clip((-who["hairline"] * who["height"] - v) * 8 + 0.5, 0, 1)
    _paint(canvas, face * fringe, hair)
    beard = np.clip(who["beard"], 0, 1) * face * np.clip((v - 0.25) * 6, 0, 1)
    _paint(canvas, 0.75 * beard, hair)
    mole = np.clip(who["mole"] * 4, 0, 1) * _oval(u - who["mole_x"], v - who["mole_y"], 0.035, 0.035)
    _paint(canvas, mole, skin * 0.35)


def _eyes(
    canvas: np.ndarray, at: Grid, who: dict[str, np.ndarray], how: dict[str, np.ndarray], hair: np.ndarray
) -> None:
    x, y = at
    white, dark = np.float32(0.93), np.float32(0.06)
    iris = _mixed(who["iris"], (0.22, 0.12, 0.06), (0.35, 0.55, 0.7))
    opening = who["eye_width"] * who["eye_open"] * (1 - 0.45 * np.abs(how["blink"]))
    u = np.abs(x) - who["eye_gap"]  # both eyes at once: the face is mirrored at its own axis
    v = y - who["eye_y"]
    slanted = v + who["slant"] * u
    _paint(canvas, _oval(u, slanted, who["eye_width"] * 1.2, opening * 1.35), dark + 0.25 * hair)
    eye = _oval(u, slanted, who["eye_width"], opening)
    _paint(canvas, eye, white)
    _paint(canvas, eye * _oval(u, v, who["eye_width"] * 0.55, who["eye_width"] * 0.55), iris)
    _paint(canvas, eye * _oval(u, v, who["eye_width"] * 0.25, who["eye_width"] * 0.25), dark)
    brow = v + who["brow_y"] + how["brow_raise"] + who["brow_tilt"] * u
    _paint(canvas, who["brow_dark"] * _oval(u, brow, who["eye_width"] * 1.4, who["brow_thick"]), hair * 0.7)
    worn = np.clip(who["glasses"] * 4, 0, 1)
    distance = np.sqrt((u / 0.15) ** 2 + (v / 0.12) ** 2)
    rim = np.clip(1 - np.abs(distance - 1) * 7, 0, 1)
    _paint(canvas, worn * np.maximum(rim, _oval(x, v + 0.02, 0.06, 0.02)), dark)


def _nose_and_mouth(
    canvas: np.ndarray,
    at: Grid,
    who: dict[str, np.ndarray],
    how: dict[str, np.ndarray],
    skin: np.ndarray,
    hair: np.ndarray,
) -> None:
    x, y = at
    tip = who["eye_y"] + who["nose_long"]
    _paint(
        canvas,
        0.35 * _oval(x - 0.03, y - tip / 2, who["nose_wide"] * 0.45, who["nose_long"] * 0.6, 2.0),
        skin * 1.25,
    )
    _paint(canvas, 0.7 * _oval(x, y - tip, who["nose_wide"], 0.05, 3.0), skin * 0.72)
    holes = _oval(np.abs(x) - who["nose_wide"] * 0.5, y - tip - 0.02, 0.022, 0.016)
    _paint(canvas, holes, skin * 0.3)
    bent = y - who["mouth_y"] + how["smile"] * 0.06 * ((x / who["mouth_wide"]) ** 2 - 0.5)
    lips = _mixed(who["lip_red"], (0.55, 0.3, 0.28), (0.8, 0.2, 0.25)) * (0.6 + 0.4 * skin)
    open_by = who["lip"] * (0.3 + 0.9 * np.clip(how["smile"], 0, 1) * (how["blink"] > 0))
    _paint(canvas, _oval(x, bent, who["mouth_wide"], who["lip"] + open_by * 0.6), lips)
    _paint(
        canvas,
        _oval(x, bent, who["mouth_wide"] * 0.85, open_by * 0.7),
        np.array([0.2, 0.05, 0.06], np.float32),
    )
    moustache = np.clip(who["beard"] * 3 - 0.9, 0, 1) * _oval(
        x, bent + who["lip"] * 1.9, who["mouth_wide"] * 0.9, 0.03
    )
    _paint(canvas, moustache, hair)


def _occlude(canvas: np.ndarray, generators: list[np.random.Generator], share: float) -> None:
    """Hide a part of some faces behind a hand-sized oval, dark glasses or a mask; changes `canvas`."""
    size = canvas.shape[1]
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    y, x = line[:, None], line[None, :]
    for image, generator in zip(canvas, generators):
        chance, kind, a, b, *colour = generator.random(7)
        if chance >= share:
            continue
        if kind < 1 / 3:
            cover = _oval(x, y + 0.12, 0.55, 0.14, 8.0)
            colour = [0.05, 0.05, 0.06]
        elif kind < 2 / 3:
            cover = _oval(x, y - 0.45, 0.5, 0.36, 8.0)
        else:
            cover = _oval(x - 1.4 * (a - 0.5), y - 1.4 * (b - 0.5), 0.32, 0.32, 8.0)
        image += cover[..., None] * (np.asarray(colour, np.float32) - image)
