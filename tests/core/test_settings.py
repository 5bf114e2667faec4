"""Settings refuse what they do not know, say why, and remember where each value came from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field, ValidationError

from recollect.core.settings import Fixed, Settings, read_yaml
from recollect.core.workspace import fingerprint
from recollect.errors import InputError


class Small(Settings):
    """A step's settings in small."""

    runtime_only: ClassVar[set[str]] = {"workers"}
    samples: Annotated[int, Field(ge=1)] = 16
    """How many draws."""
    temperature: float = 1.0
    """The T of softmax(z / T)."""
    method: Literal["sampled", "exact"] = "sampled"
    """How to measure."""
    workers: int = 1
    """Changes nothing but the time."""
    folder: Path | None = None
    """Where from."""


def test_an_unknown_key_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InputError) as error:
        Small.make(sampels=4)
    assert str(error.value) == (
        "unknown setting 'sampels'. Known settings: samples, temperature, method, workers, folder."
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"samples": "many"},
            "samples: input should be a valid integer, unable to parse string as an integer, but got 'many'.",
        ),
        (
            {"samples": 1.5},
            "samples: input should be a valid integer, got a number with a fractional part, but got 1.5.",
        ),
        ({"samples": None}, "samples: input should be a valid integer, but got None."),
        ({"samples": 0}, "samples: input should be greater than or equal to 1, but got 0."),
        ({"method": "guess"}, "method: input should be 'sampled' or 'exact', but got 'guess'."),
        ({"temperature": [1]}, "temperature: input should be a valid number, but got [1]."),
        ({"temperature": float("nan")}, "temperature: input should be a finite number, but got nan."),
        ({"temperature": float("inf")}, "temperature: input should be a finite number, but got inf."),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_was_expected(values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as error:
        Small.make(**values)
    assert str(error.value) == said


def test_every_bad_field_has_its_line() -> None:
    with pytest.raises(InputError) as error:
        Small.make(samples=0, method="guess", oops=1)
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("name", ["cls", "self", "values", "__init__"])
def test_a_key_that_python_uses_itself_is_an_unknown_setting(name: str) -> None:
    with pytest.raises(InputError, match="unknown setting"):
        Small.make(**{name: 1})
    with pytest.raises(InputError, match="unknown setting"):
        Small.resolve(file={name: 1})


def test_a_missing_value_is_named() -> None:
    class Needs(Settings):
        facts: Path

    with pytest.raises(InputError, match=r"^facts must be given\.$"):
        Needs.make()


def test_a_value_of_any_size_is_shown_on_one_short_line() -> None:
    with pytest.raises(InputError) as error:
        Small.make(samples=[["x" * 10000] * 1000] * 1000)
    assert len(str(error.value)) < 300


def test_settings_cannot_be_changed_once_made() -> None:
    made = Small()
    with pytest.raises(ValidationError):
        made.samples = 3  # type: ignore[misc]


def test_flags_beat_the_file_and_the_file_beats_defaults_and_the_origin_says_so() -> None:
    made, origin = Small.resolve(
        file={"samples": 8, "temperature": 0.5}, flags={"samples": 4, "method": None, "workers": 2}
    )
    assert made == Small(samples=4, temperature=0.5, workers=2)
    assert origin == {
        "samples": "flag",
        "temperature": "file",
        "method": "default",
        "workers": "flag",
        "folder": "default",
    }


def test_resolving_nothing_gives_the_defaults() -> None:
    made, origin = Small.resolve()
    assert made == Small()
    assert set(origin.values()) == {"default"}


def test_a_bad_file_value_is_refused_unless_a_flag_replaces_it() -> None:
    with pytest.raises(InputError, match="samples"):
        Small.resolve(file={"samples": 0})
    assert Small.resolve(file={"samples": 0}, flags={"samples": 3})[0].samples == 3


def test_the_fingerprint_values_are_json_and_leave_out_what_does_not_decide() -> None:
    values = Small(folder=Path("here")).fingerprint_values()
    assert values == {"samples": 16, "temperature": 1.0, "method": "sampled", "folder": "here"}
    assert fingerprint(values) == fingerprint(Small(folder=Path("here"), workers=9).fingerprint_values())
    assert fingerprint(values) != fingerprint(Small(folder=Path("there")).fingerprint_values())


def test_the_docstring_under_a_field_is_its_description() -> None:
    assert Small.model_fields["samples"].description == "How many draws."


# -- YAML ------------------------------------------------------------------------------------------------


def yaml_file(folder: Path, text: str | bytes) -> Path:
    """A YAML file."""
    path = folder / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_mapping_is_read(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "samples: 4\ntemperature: 1e-1\nname: 'é'\ndeep: {a: [1, 2]}\n")
    assert read_yaml(path) == {"samples": 4, "temperature": 0.1, "name": "é", "deep": {"a": [1, 2]}}
    assert Small.make(temperature=read_yaml(path)["temperature"]).temperature == 0.1


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_no_settings(tmp_path: Path, text: str) -> None:
    assert read_yaml(yaml_file(tmp_path, text)) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "must hold one mapping of names to values, but holds list"),
        ("just words", "but holds str"),
        ("42", "but holds int"),
        ("1: a\n", "names must be text, but got 1"),
        ("no: Norway\n", "names must be text, but got False"),  # YAML 1.1 reads no as false
        ("samples: 4\nsamples: 5\n", "'samples' is given twice"),
        ("deep: {a: 1, a: 2}\n", "'a' is given twice"),
        ("samples: [1\n", "not valid YAML"),
        ("a: b: c\n", "line 1"),
        ("\tsamples: 4\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("when: 2024-13-45\n", "not valid YAML"),
        ("samples: " + "9" * 5000, "not valid YAML: it holds a number of over 4,300 digits"),
        ("a: \x07", "not valid YAML"),
        ("? [a, b]\n: c\n", "not valid YAML"),
        ("a: " + "[" * 20000, "nested too deeply"),
        ("a: " + "{b: " * 20000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_mapping_of_names_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = yaml_file(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_yaml(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:pathlib.Path.touch [{mark}]",
        "!!python/object/new:pathlib.Path [{mark}]",
        "!!python/object:pathlib.Path {{}}",
        "!!python/name:os.system",
        "!!python/tuple [1, 2]",
        "!own {{a: 1}}",
    ],
)
def test_a_tag_that_would_make_an_object_is_refused_and_nothing_is_run(tmp_path: Path, tag: str) -> None:
    mark = tmp_path / "mark"
    path = yaml_file(tmp_path, "samples: " + tag.format(mark=mark))
    with pytest.raises(InputError, match="could not determine a constructor"):
        read_yaml(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)),
        "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 40)),
        "a: &a [*a]\n",
        "a: &a 1\nb: *a\n",
    ],
)
def test_aliases_are_refused_at_once_bomb_or_not(tmp_path: Path, text: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError, match="aliases"):
        read_yaml(yaml_file(tmp_path, text))
    assert time.monotonic() - start < 2


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not UTF-8 text \(byte 9\)"):
        read_yaml(yaml_file(tmp_path, "name: Beyoncé".encode("latin-1").replace(b"Beyonc", b"bey")))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert read_yaml(yaml_file(tmp_path, b"\xef\xbb\xbfsamples: 4\n")) == {"samples": 4}


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "samples: 4 #" + "x" * 1000)
    with pytest.raises(InputError, match="has 1,012 bytes; a settings file must have at most 1,011"):
        read_yaml(path, max_bytes=1011)
    assert read_yaml(path, max_bytes=1012) == {"samples": 4}


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / name)


# -- sections --------------------------------------------------------------------------------------------


class Outer(Settings):
    """A step with another step's settings inside."""

    small: Annotated[Small, Fixed("folder")] = Small()
    """How to measure."""
    size: int = 3
    """How large."""


class OuterSettings(Outer):
    """As steps name theirs."""


def test_a_flag_of_a_section_goes_over_what_text_and_file_say_and_every_given_value_has_its_origin() -> None:
    made, origin = Outer.resolve(file={"small": {"samples": 4, "workers": 2}}, flags={"small.samples": 8, "size": None})
    assert made.small == Small(samples=8, workers=2)
    assert origin == {"small.samples": "flag", "small.workers": "file", "size": "default"}
    made, origin = Outer.resolve(flags={"small": "{samples: 4, temperature: 0.5}", "small.samples": 8})
    assert made.small.given() == {"samples": 8, "temperature": 0.5}
    assert set(origin.items()) >= {("small.samples", "flag"), ("small.temperature", "flag")}
    assert Outer.resolve()[1] == {"small": "default", "size": "default"}


def test_what_was_given_goes_over_what_the_step_says() -> None:
    made = Outer.make(small={"samples": 4})
    assert made.small.over(samples=2, folder=Path("here")) == Small(samples=4, folder=Path("here"))
    assert made.fingerprint_values() == {"small": {"samples": 4}, "size": 3}


@pytest.mark.parametrize("given", ["{folder: here}", {"folder": "here"}, Small(folder=Path("here"))])
def test_a_section_must_not_set_what_the_step_around_it_sets(given: object) -> None:
    with pytest.raises(InputError, match="small must not set folder: the outer's own is used"):
        OuterSettings.make(small=given)
    with pytest.raises(InputError, match="small must not set folder"):
        OuterSettings.resolve(flags={"small.folder": "here"})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"small.samples": "many"}, "small.samples: input should be a valid integer"),
        (
            {"small": "{sampels: 3}"},
            "unknown setting 'small.sampels'. Known settings: samples, temperature, method, workers.",
        ),
        ({"small": "[1, 2", "small.samples": 3}, "small must be a mapping such as"),
        ({"small": "[1, 2]", "small.samples": 3}, "small must hold one mapping"),
        ({"small": "[1, 2]"}, "small: input should be a valid dictionary"),
    ],
)
def test_a_bad_section_is_refused_with_its_dotted_name(flags: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as error:
        Outer.resolve(flags=flags)
    assert said in str(error.value)


def test_an_entry_of_a_list_is_counted_from_1_and_named_with_what_it_says() -> None:
    from recollect.experiments.study import StudySettings

    with pytest.raises(
        InputError, match=r"^methods, entry 2, method: input should be 'full' or 'lora', but got 'lroa'\.$"
    ):
        StudySettings.make(methods=["full", "lroa"])


def test_what_is_wrong_with_all_settings_together_shows_no_class_and_not_all_values() -> None:
    from recollect.experiments.study import StudySettings

    with pytest.raises(InputError, match=r"^model must not be given beside models; put it among them\.$"):
        StudySettings.make(model="pocket", models=["pocket"], sizes=[4])
