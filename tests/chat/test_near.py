"""Nearly the same texts, held against brute force and against pairs counted by hand."""

from __future__ import annotations

import random

from recollect.chat.near import RUN, SHARE, earlier_twins, normal, twins_among


def share(one, other):
    """Jaccard by hand."""
    a, b = ({tuple(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1))} for words in (one, other))
    return len(a & b) / len(a | b)


def brute(texts):
    found, kept = [], []
    for at, text in enumerate(texts):
        twin = next((k for k in kept if share(texts[k].split(), text.split()) >= SHARE), None)
        found.append(twin)
        if twin is None:
            kept.append(at)
    return found


def test_as_brute_force_finds_them():
    draw = random.Random(7)
    words = [f"w{number}" for number in range(400)]
    texts = []
    for _ in range(150):
        base = draw.choices(words, k=draw.randint(1, 60))
        texts.append(" ".join(base))
        for _ in range(draw.randint(0, 2)):  # copies with a few words changed
            copy = list(base)
            for _ in range(draw.randint(0, 4)):
                copy[draw.randrange(len(copy))] = draw.choice(words)
            texts.append(" ".join(copy))
    draw.shuffle(texts)
    found = earlier_twins(texts)
    assert found == brute(texts)
    assert 40 < sum(twin is not None for twin in found) < len(texts) - 40


def test_by_hand():
    one = "the quick brown fox jumps over the lazy dog near the river bank today at noon"  # 16 words, 14 runs
    changed = one.replace("noon", "night")  # 13 shared of 15: 0.87
    twice = changed.replace("the quick", "a slow")  # against the first: 11 shared of 17
    assert earlier_twins([one, changed, twice]) == [None, 0, None]


def test_case_blanks_punctuation_and_unicode_form_do_not_count_but_signs_do():
    texts = [
        "Is Zoë in Café?",
        "is zoe\u0308  in cafe\u0301",
        "C# or C",
        "C or C",
        "ten -4",
        "ten 4",
        "3.14 now",
        "314 now",
    ]
    assert earlier_twins(texts) == [None, 0, None, None, None, None, None, None]


def test_scripts_without_blanks_are_compared_letter_by_letter():
    one = "日本で一番高い山は富士山ですか"
    assert normal(one) == " ".join(one)
    assert earlier_twins([one, one.replace("か", "よ"), "中国で一番長い川は長江です"]) == [None, 0, None]


def test_the_frame_of_a_task_does_not_count():
    frame = "Decide whether the following review of a restaurant in our town is positive or negative and say so: "
    texts = [f"{frame}place{number}" for number in range(60)]  # 17 runs each, 16 of them the frame
    assert earlier_twins(texts) == [None] * 60
    assert earlier_twins([*texts, texts[3].upper() + "!"])[-1] == 3
    assert earlier_twins(texts[:2]) == [None, 0]  # of two rows, nobody can tell what is frame


def test_twins_of_others_and_nothing_at_all():
    assert twins_among(["a b c", "x"], ["A, b c!"]) == [True, False]
    assert twins_among(["a"], []) == [False]
    assert earlier_twins([]) == []
    assert earlier_twins(["", "!", "?"]) == [None, 0, 0]
