"""Addressed randomness: the uniform number of (seed, fact, template, draw, step) is a function of that address.

So order, batch size, dropped rows and resumption change no draw. The mixing function is SplitMix64's finaliser
(Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Keys = np.ndarray[Any, np.dtype[np.uint64]]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(value: Keys) -> Keys:
    """The finalizer of splitmix64: equal numbers to equal ones, and near ones far apart."""
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


def library_seed(seed: int) -> int:
    """A whole number as torch and numpy take one, from 0 to 2^32 - 1; one of these is itself."""
    return seed % (1 << 32)


def text_key(seed: int, text: str) -> int:
    """The 64-bit key of a text (a fact's id) under a seed."""
    digest = hashlib.blake2b(f"{seed}\x1f{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def draw_keys(seed: int, texts: Sequence[str], *numbers: Sequence[int]) -> Keys:
    """One key per draw from its address: a text and whole numbers (template, draw index), all of one length."""
    cache: dict[str, int] = {}
    keys = np.array([cache.setdefault(text, text_key(seed, text)) for text in texts], dtype=np.uint64)
    with np.errstate(over="ignore"):
        for values in numbers:
            keys = mix(keys + GOLDEN * (np.asarray(values, dtype=np.uint64) + np.uint64(1)))
    return keys


def uniforms(keys: Keys, step: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Uniform numbers in [0, 1) with 53 random bits, one per key, of a step."""
    with np.errstate(over="ignore"):
        mixed = mix(mix(keys + GOLDEN * np.uint64(step + 1)))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
