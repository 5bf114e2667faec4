"""EntityQuestions: the study's totals on the real data, and broken copies of a small one."""

import json
import time
import zipfile
from pathlib import Path

import pytest

from recollect.errors import InputError
from recollect.facts import FactsSettings, read_facts, shipped_relations

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "entityquestions"
LOCATION = "P17 P19 P20 P36 P69 P131 P159 P276 P495 P740"
OTHERS = "P112 P127 P170 P175 P176 P26 P40 P413 P50 P136 P106 P264 P407 P800"
IN_DOMAIN, OUT_OF_DOMAIN = set(LOCATION.split()), set(OTHERS.split())
TEMPLATES = {
    "P36": "What is the capital of [X]?",
    "P131": "Where is [X] located?",
    "P276": "Where is [X] located?",
    "P106": "What kind of work does [X] do?",
    "P19": "Where was [X] born?",
    "P19_similar": "What is the birthplace of [X]?",
}


def real() -> str:
    if not REAL.is_dir():
        pytest.skip("the published EntityQuestions data is not at ../shared/data/entityquestions")
    return str(REAL)


def row(question: str, *answers: str) -> dict[str, object]:
    return {"question": question, "answers": list(answers)}


def small(folder: Path) -> Path:
    """A tiny source with one of everything the rules speak of."""
    files = {
        "train/P36.train.json": [
            row("What is the capital of Avalia?", "Torm"),
            row("What is the capital of Avalia?", "Another"),
            row("What is the capital of Besk?", "Lund", "Mora"),
            row("What is the capital of Cor City?", "Cor"),
        ],
        "train/P131.train.json": [row("Where is Nim located?", "Avalia")],
        "train/P276.train.json": [row("Where is Nim located?", "Besk"), row("Where is Ott located?", "Cor")],
        "train/P106.train.json": [row("What kind of work does Al do?", "poet")],
        "train/P19.train.json": [
            row("What is the birthplace of Bo?", "Torm"),
            row("Birthplace of Cy", "Torm"),
        ],
        "test/P36.test.json": [row("What is the capital of Cor City?", "Cor")],
        "test/P106.test.json": [row("What kind of work does Di do?", "poet")],
        "dev/P36.dev.json": [row("What is the capital of Unused?", "Nowhere")],
        "relation_query_templates.json": TEMPLATES,
    }
    for name, value in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def pack(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.json")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return target


def test_the_real_data_gives_the_study_s_totals_in_a_few_seconds() -> None:
    path = real()
    start = time.monotonic()
    facts, report = read_facts(FactsSettings.make(path=path))
    assert time.monotonic() - start < 20
    assert facts.counts() == {"train": 75_944, "test": 9_555, "ood": 11_613}
    assert report.rows_read == {"train": 78_611, "test": 9_828, "ood": 12_247}
    assert report.overlap.plain() == {"train_questions_in_test": 135, "nearly_the_same": 2, "dropped": False}
    inside = report.answer_in_question.rows_read
    assert inside["test"] + inside["ood"] == 1_493
    assert report.relations["train"]["P495"].majority_share == pytest.approx(0.70, abs=0.005)
    assert report.relations["ood"]["P413"].majority_share == pytest.approx(0.49, abs=0.005)
    assert report.synonyms["test"].share >= 0.136
    assert set(facts.part("test").relations) == IN_DOMAIN == set(facts.part("train").relations)
    assert set(facts.part("ood").relations) == OUT_OF_DOMAIN
    for part in ("train", "test", "ood"):
        lost = sum(counts.get(part, 0) for counts in report.dropped.values())
        assert report.rows_read[part] - lost == facts.counts()[part]


def test_every_real_subject_put_into_its_template_gives_the_question() -> None:
    facts, report = read_facts(FactsSettings.make(path=real()))
    templates = json.loads((REAL / "relation_query_templates.json").read_text(encoding="utf-8"))
    assert "question fits no template" not in report.dropped
    assert all(templates[fact.relation].replace("[X]", fact.subject) == fact.question for fact in facts)


def test_dropping_the_real_overlap_takes_133_train_facts_and_2_nearly_the_same() -> None:
    facts, report = read_facts(FactsSettings.make(path=real(), drop_overlap=True))
    assert facts.counts() == {"train": 75_944 - 135, "test": 9_555, "ood": 11_613}
    assert report.dropped["question also in test"] == {"train": 135}  # 133 alike, 2 nearly
    tested = {fact.question for fact in facts.part("test")}
    assert not any(fact.question in tested for fact in facts.part("train"))


def test_the_real_folder_and_its_zip_with_a_leading_folder_agree(tmp_path: Path) -> None:
    folder = read_facts(FactsSettings.make(path=real(), relations="P36,P413"))
    packed = pack(REAL, tmp_path / "eq.zip", "dataset/")
    zipped = read_facts(FactsSettings.make(path=str(packed), relations="P36,P413"))
    assert folder[0].facts == zipped[0].facts
    assert folder[1] == zipped[1]


def test_the_domains_of_the_shipped_relations_are_the_study_s() -> None:
    relations = shipped_relations()
    assert {r.id for r in relations.values() if r.domain == "in-domain"} == IN_DOMAIN | {"qa"}
    assert {r.id for r in relations.values() if r.domain == "out-of-domain"} == OUT_OF_DOMAIN


def test_the_rules_on_a_source_small_enough_to_count_by_hand(tmp_path: Path) -> None:
    facts, report = read_facts(FactsSettings.make(path=str(small(tmp_path))))
    kept = [(fact.part, fact.relation, fact.subject, fact.object) for fact in facts]
    assert kept == [
        ("train", "P19", "Bo", "Torm"),  # by the variant P19_similar
        ("train", "P36", "Avalia", "Torm"),  # the first of two rows
        ("train", "P36", "Cor City", "Cor"),
        ("train", "P131", "Nim", "Avalia"),  # and not P276, which asks the same question
        ("train", "P276", "Ott", "Cor"),
        ("test", "P36", "Cor City", "Cor"),
        ("ood", "P106", "Di", "poet"),
    ]
    assert report.dropped == {
        "question fits no template": {"train": 1},
        "not exactly one answer": {"train": 1},
        "repeated question": {"train": 2},
    }
    assert report.overlap.train_questions_in_test == 1
    assert report.answer_in_question.facts == {"train": 1, "test": 1}
    assert "train/P17.train.json" in report.missing_files


@pytest.mark.parametrize("prefix", ["", "dataset/", "EntityQuestions-master/dataset/"])
def test_a_zip_is_read_with_and_without_leading_folders(tmp_path: Path, prefix: str) -> None:
    source = small(tmp_path / "source")
    packed = pack(source, tmp_path / "packed.zip", prefix)
    before = sorted(tmp_path.rglob("*"))
    facts = read_facts(FactsSettings.make(path=str(packed)))[0]
    assert facts.facts == read_facts(FactsSettings.make(path=str(source)))[0].facts
    assert sorted(tmp_path.rglob("*")) == before  # nothing was extracted


def test_a_limit_keeps_that_many_of_each_relation_and_depends_on_the_seed() -> None:
    path = real()
    first = read_facts(FactsSettings.make(path=path, limit_per_relation=5, seed=1))[0]
    again = read_facts(FactsSettings.make(path=path, limit_per_relation=5, seed=1))[0]
    other = read_facts(FactsSettings.make(path=path, limit_per_relation=5, seed=2))[0]
    assert first.counts() == {"train": 50, "test": 50, "ood": 70}
    assert first.facts == again.facts
    assert first.facts != other.facts


def test_chosen_relations_are_a_subset_of_the_whole_set(tmp_path: Path) -> None:
    source = str(small(tmp_path))
    whole = read_facts(FactsSettings.make(path=source))[0]
    some = read_facts(FactsSettings.make(path=source, relations=["P276", "P36"]))[0]
    assert some.facts == tuple(fact for fact in whole if fact.relation in ("P276", "P36"))
    with pytest.raises(InputError, match=r"relation 'P999' is not in the data, which has: P19"):
        read_facts(FactsSettings.make(path=source, relations=["P999"]))


def broken(tmp_path: Path, name: str, content: str | bytes | None) -> str:
    source = small(tmp_path / "source")
    if content is None:
        (source / name).unlink()
    else:
        (source / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(source)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("relation_query_templates.json", None, "lacks relation_query_templates.json"),
        ("relation_query_templates.json", "[1]", "must map relations to templates"),
        ("relation_query_templates.json", '{"P36": "no slot"}', r"must contain \[X\] exactly once"),
        ("train/P36.train.json", "{not json", "is not valid JSON"),
        ("train/P36.train.json", "", "is empty"),
        ("train/P36.train.json", '{"question": "q"}', "must hold a list"),
        ("train/P36.train.json", "[5]", "item 1 must be an object"),
        ("train/P36.train.json", '[{"answers": ["a"]}]', "item 1 must have a text as question"),
        ("train/P36.train.json", '[{"question": "q", "answers": "a"}]', "item 1 must have a list of texts"),
        ("train/P36.train.json", '[{"question": "q", "answers": [""]}]', "item 1 must have a list of texts"),
        ("train/P36.train.json", b'[{"question": "caf\xe9"}]', "wrong byte 0xe9 at offset 18"),
        ("train/P36.train.json", "[" * 200_000, "JSON"),
    ],
)
def test_a_broken_file_of_the_layout_is_named(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_facts(FactsSettings.make(path=broken(tmp_path, name, content)))


def test_a_folder_without_the_layout_and_a_false_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not have the layout of EntityQuestions"):
        read_facts(FactsSettings.make(path=str(tmp_path)))
    false = tmp_path / "false.zip"
    false.write_bytes(b"not a zip at all")
    with pytest.raises(InputError, match=r"is not a readable \.zip file"):
        read_facts(FactsSettings.make(path=str(false)))


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    packed = pack(small(tmp_path / "source"), tmp_path / "packed.zip")
    data = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        member = archive.getinfo("train/P36.train.json")
    start = member.header_offset + 30 + len(member.filename)
    data[start + 2 : start + 20] = b"\xff" * 18
    packed.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"P36\.train\.json cannot be unpacked"):
        read_facts(FactsSettings.make(path=str(packed)))


def test_a_member_that_unpacks_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "source")
    (source / "train" / "P36.train.json").write_bytes(b" " * 5_000)
    packed = pack(source, tmp_path / "packed.zip")
    monkeypatch.setattr("recollect.facts.entityquestions.MAX_MEMBER", 2_000)
    with pytest.raises(InputError, match="unpacks to more than 2,000 bytes"):
        read_facts(FactsSettings.make(path=str(packed)))


def test_columns_make_no_sense_for_this_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Leave --columns out"):
        read_facts(FactsSettings.make(path=str(small(tmp_path)), columns="question=q"))
