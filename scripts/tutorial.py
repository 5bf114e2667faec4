"""Run the tutorial of `recollect fit` again: its outputs into docs/tutorials/fit.md and README.md, its pictures too.

    python scripts/tutorial.py                    # everything: five fits of the pocket, some minutes
    python scripts/tutorial.py --only plan,stop   # some of its parts, which --help names
    python scripts/tutorial.py --pictures         # the pictures of the finished fit in build/tutorial again
    python scripts/tutorial.py --write            # only put the kept outputs into the pages again

Needs tmux, Chromium, pillow, and `recollect` beside this Python, which runs the code of this folder. Each output is
what a terminal of 110 columns shows; it is kept in build/tutorial/said/NAME.txt and goes into the block below
`<!-- made: NAME -->`. What the pages say about the numbers around those blocks is written by hand: read them again
after a run that changed a number.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from PIL import Image  # noqa: E402

from helpers_browser import Tab, browser  # noqa: E402

WORK = ROOT / "build" / "tutorial"
SAID = WORK / "said"
PAGES = (ROOT / "docs" / "tutorials" / "fit.md", ROOT / "README.md")
IMAGES = ROOT / "docs" / "images"
QUESTIONS = ROOT / "examples" / "questions.csv"
COLUMNS, LONGEST = 110, 3600
SHOWN_AS = "~/try"
"""What the pages call the folder that all was done in."""
FIT = "recollect fit --model my-model --data questions.csv --out my-fit --yes"


class Terminal:
    """A terminal of its own, in tmux: what it shows is what a reader would see."""

    def __init__(self, name: str) -> None:
        self.name = f"tutorial-{name}-{os.getpid()}"
        self._done = WORK / f".{self.name}"

    def start(self, command: str) -> None:
        """Begin a command."""
        self._done.unlink(missing_ok=True)
        line = f"{command}; echo $? > {self._done}; sleep {LONGEST}"
        size = ("-x", str(COLUMNS), "-y", "50")
        path = f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = ("env", path, f"PYTHONPATH={ROOT / 'src'}", "TERM=screen-256color")
        self._tmux("new-session", "-d", "-s", self.name, *size, "-c", str(WORK), *environment, "bash", "-c", line)

    def text(self) -> str:
        """All that it has shown."""
        shown = self._tmux("capture-pane", "-p", "-S", "-", "-t", self.name)
        return "\n".join(line.rstrip() for line in shown.splitlines()).strip("\n").replace(str(WORK), SHOWN_AS)

    def press(self, key: str) -> None:
        """A key, as tmux calls it."""
        self._tmux("send-keys", "-t", self.name, key)

    def until(self, pattern: str, seconds: float = LONGEST) -> str:
        """What it shows once it shows this."""
        end = time.monotonic() + seconds
        while not re.search(pattern, text := self.text()):
            if self._done.exists() or time.monotonic() > end:
                raise SystemExit(f"{pattern!r} was not shown; the terminal:\n{text}")
            time.sleep(0.3)
        return text

    def end(self, *, code: int = 0) -> str:
        """What it has shown when the command has ended."""
        end = time.monotonic() + LONGEST
        while not (self._done.exists() and self._done.read_text()):
            if time.monotonic() > end:
                raise SystemExit(f"it took over {LONGEST} s; the terminal:\n{self.text()}")
            time.sleep(0.3)
        time.sleep(0.3)
        text, got = self.text(), int(self._done.read_text())
        self._tmux("kill-session", "-t", self.name)
        self._done.unlink()
        if got != code:
            raise SystemExit(f"exit code {got}, expected {code}:\n{text}")
        return text

    @staticmethod
    def _tmux(*words: str) -> str:
        made = subprocess.run(["tmux", "-u", "-L", "recollect-tutorial", *words], capture_output=True, check=True)
        return made.stdout.decode()


def run(name: str, command: str, *, code: int = 0) -> str:
    """What a command shows."""
    print(f"  {command}", file=sys.stderr)
    terminal = Terminal(name)
    terminal.start(command)
    return terminal.end(code=code)


def keep(name: str, text: str) -> None:
    """Keep an output."""
    SAID.mkdir(parents=True, exist_ok=True)
    (SAID / f"{name}.txt").write_text(text.strip("\n") + "\n", encoding="utf-8")


def since(text: str, pattern: str) -> str:
    """From the first line that holds the pattern."""
    lines = text.splitlines()
    first = next((at for at, line in enumerate(lines) if re.search(pattern, line)), None)
    if first is None:
        raise SystemExit(f"no line of it holds {pattern!r}:\n{text}")
    return "\n".join(lines[first:])


def before(text: str, pattern: str) -> str:
    """Up to the first line that holds the pattern, without it."""
    lines = text.splitlines()
    last = next((at for at, line in enumerate(lines) if re.search(pattern, line)), len(lines))
    return "\n".join(lines[:last])


def write_questions() -> None:
    """examples/questions.csv: 300 of the pocket's questions, two columns, drawn by a seed."""
    from recollect import load_facts
    from recollect.core.random import draw

    facts = load_facts("pocket")
    facts = [fact for fact in facts if fact.relation in facts.part("train").relations]
    order = sorted(facts, key=lambda fact: draw(0, "tutorial", fact.id))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["question", "answer"])
    rows.writerows([fact.question, fact.object] for fact in order[:300])
    QUESTIONS.write_text(text.getvalue(), encoding="utf-8")


def model_and_table() -> None:
    """What a newcomer has."""
    shutil.copyfile(QUESTIONS, WORK / "questions.csv")
    shutil.rmtree(WORK / "my-model", ignore_errors=True)
    keep("get", run("get", "recollect models get pocket --out my-model"))
    keep("questions", "\n".join((WORK / "questions.csv").read_text(encoding="utf-8").splitlines()[:6]))


def plans() -> None:
    """The plan by default, and with a budget in time."""
    dry = FIT.replace(" --yes", " --dry-run").replace("my-fit", "planned")
    keep("plan", since(run("plan", dry), "what would be done"))
    keep("budget", since(run("budget", f"{dry} --budget 4m"), "what would be done"))


def afterwards() -> None:
    """What is done with a finished fit."""
    asked = f'recollect ask my-fit "{gained()}"'
    keep("ask", f"$ {asked}\n{run('ask', asked)}")
    run("json", f"{FIT} --json > answer.json")
    keep("json", shortened(json.loads((WORK / "answer.json").read_text(encoding="utf-8").splitlines()[-1])))
    shutil.rmtree(WORK / "taken-away", ignore_errors=True)
    keep("export", run("export", "recollect export my-fit --to merged --out taken-away"))


def watched_fit() -> None:
    """The fit itself, and pictures of its page at work."""
    print(f"  {FIT}", file=sys.stderr)
    forget("my-fit")
    terminal = Terminal("fit")
    terminal.start(FIT)
    text = terminal.until(r"probing what the base knows")
    with watching("my-fit") as address:
        terminal.until(r"searching\W+[2-9]/12")
        picture_of_watch(address)
    keep("work", since(terminal.text(), "ready after"))
    text = terminal.end()
    keep("begin", before(text, "what will be done"))
    keep("end", since(text, "on .* test questions, %"))
    keep("readme", for_readme(since(text, "on .* test questions, %")))


def for_readme(end: str) -> str:
    """The table, and of the advice the sentences that most people look for."""
    table, *advice = re.split(r"^(?=• )", end, flags=re.MULTILINE)
    advice[-1], _, places = advice[-1].partition("\nmodel: ")
    advice[-1] = before(advice[-1], "^note: ") + "\n"
    wanted = ("• Take ", "• Against plain", "• Over ", "• Of ", " are at memory level 0")
    shown, skipped = [table], False
    for text in advice:
        chosen = any(words in text for words in wanted)
        shown += ["…\n"] if chosen and skipped else []
        shown += [text] if chosen else []
        skipped = not chosen
    return "".join([*shown, "…\n" if skipped else "", f"model: {places}"])


def stopped_fit() -> None:
    """A second fit, stopped in its search, and the same command again."""
    forget("stopped")
    command = FIT.replace("my-fit", "stopped")
    print(f"  {command}, stopped", file=sys.stderr)
    terminal = Terminal("stop")
    terminal.start(command)
    terminal.until(r"searching\W+[2-9]/12")
    terminal.press("C-c")
    keep("stop", last_lines(terminal.end(code=130), "the best so far"))
    text = run("again", command)
    keep("again", before(text, "on .* test questions, %"))
    same = since(text, "on .* test questions, %").splitlines()[:10] == (SAID / "end.txt").read_text().splitlines()[:10]
    print(f"  the stopped one ends as the other: {same}", file=sys.stderr)


def adapters_fit() -> None:
    """A fit that trains adapters."""
    forget("adapters")
    text = run("lora", f'{FIT.replace("my-fit", "adapters")} --method lora --budget "6 trials"')
    keep("lora", for_readme(since(text, "on .* test questions, %")))


def fits_elsewhere() -> None:
    """A fit whose trials run in processes, and one whose trials a worker takes."""
    for name in ("two", "shared"):
        forget(name)
    text = run("processes", f"{FIT.replace('my-fit', 'two')} --executor processes --workers 2")
    taken = before(since(text, "^• Take "), "^• It knows")
    keep("processes", f"{before(since(text, 'plain fine-tuning: '), 'asking the mean')}\n…\n{taken}")
    print("  a fit with a worker", file=sys.stderr)
    fit, worker = Terminal("shared"), Terminal("worker")
    fit.start(f"{FIT.replace('my-fit', 'shared')} --executor workers")
    fit.until("probing what the base knows")  # now its folder is there
    worker.start("recollect work shared")
    fit.end()
    keep("worker", f"$ recollect work shared\n{worker.end()}")


def forget(name: str) -> None:
    """Away with a fit of an earlier run."""
    for folder in (name, f"{name}.partial"):
        shutil.rmtree(WORK / folder, ignore_errors=True)


def last_lines(text: str, pattern: str) -> str:
    """From the last line that holds the pattern."""
    lines = text.splitlines()
    return "\n".join(lines[max(at for at, line in enumerate(lines) if re.search(pattern, line)) :])


def shortened(answer: dict[str, object]) -> str:
    """The JSON line, a value a line, the long ones cut."""
    lines = []
    for name, value in answer.items():
        text = json.dumps(value, ensure_ascii=False).replace(str(WORK), SHOWN_AS)
        lines.append(f'  "{name}": {text if len(text) < 90 else text[:80] + " …"}')
    return "{\n" + ",\n".join(lines) + "\n}"


def gained() -> str:
    """The first test question that the base had wrong and the model right."""
    found = json.loads((WORK / "my-fit" / "results.json").read_text(encoding="utf-8"))["chapters"]["fit"]["found"]
    return str(next(one["question"] for one in found["flipped"] if one["gained"]))


@contextmanager
def watching(folder: str) -> Iterator[str]:
    """The address of a page that `recollect watch` serves."""
    terminal = Terminal("watch")
    terminal.start(f"env -u DISPLAY -u SSH_CONNECTION recollect watch {folder} --no-open")
    address = re.search(r"http://\S+", terminal.until(r"token=\w+", 120))
    assert address is not None
    keep("watch", re.sub(r"token=(\w{4})\w+", r"token=\1…", address[0]))
    try:
        yield address[0]
    finally:
        terminal.press("C-c")
        terminal.end()


@contextmanager
def chromium() -> Iterator[Tab]:
    """A browser with one tab."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, browser(Path(folder)) as tab:
        yield tab


def shot(tab: Tab, x: float, y: float, width: float, height: float) -> Image.Image:
    """A part of the page as a picture."""
    clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
    made = tab.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
    return Image.open(io.BytesIO(base64.b64decode(made["data"]))).convert("RGB")


def save(picture: Image.Image, name: str) -> None:
    """A small PNG: as many colours as look the same."""
    IMAGES.mkdir(exist_ok=True)
    for colours in (200, 96, 48):
        picture.quantize(colours, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)
        if (IMAGES / name).stat().st_size < 150_000:
            break
    print(f"  {name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB, {picture.size}", file=sys.stderr)


def picture_of_watch(address: str) -> None:
    """A run at work, in a window and on a phone."""
    folder = "document.querySelector('.facts bdi').textContent"
    with chromium() as tab:
        tab.size(1200, 1100)
        tab.open(address)
        tab.wait("document.querySelectorAll('section svg, table tr').length > 3")
        tab.run(f"setInterval(() => {{ {folder} = {folder}.replace('{WORK}', '{SHOWN_AS}') }}, 10)")
        time.sleep(0.2)
        wide = shot(tab, 0, 0, 1200, 1500)
        tab.size(375, 812)
        tab.wait("window.innerWidth < 400")
        time.sleep(1)
        narrow = shot(tab, 0, 0, 375, 1500)
    page = Image.new("RGB", (1200 + 30 + 375, 1500), "#9aa3b2")
    page.paste(wide, (0, 0))
    page.paste(narrow, (1230, 0))
    save(page, "fit-watch.png")


def take_pictures() -> None:
    """The page of the finished fit: its first screen, and the plane of score and forgetting."""
    with chromium() as tab:
        tab.size(1200, 1100)
        tab.open((WORK / "my-fit" / "report.html").as_uri())
        low = tab.run("document.querySelector('.verdict').getBoundingClientRect().bottom + window.scrollY")
        save(shot(tab, 0, 0, 1200, min(1200, low + 24)), "fit-report.png")
        for title, name in (("The contenders", "fit-contenders.png"), ("Score and forgetting", "fit-plane.png")):
            figure = f"[...document.querySelectorAll('figure')].find(one => one.innerText.startsWith('{title}'))"
            box = tab.run(
                f"(() => {{ const b = {figure}.getBoundingClientRect();"
                " return [b.x, b.y + window.scrollY, b.width, b.height] })()"
            )
            x, y, width, height = box
            save(shot(tab, x - 12, y - 12, width + 24, height + 24), name)


def write_pages() -> None:
    """Put the kept outputs into their blocks."""
    used = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"<!-- made: ([\w-]+) -->", text):
            if not (SAID / f"{name}.txt").exists():  # only some parts were run
                print(f"  {page.name}: {name} stays as it is", file=sys.stderr)
                continue
            said = (SAID / f"{name}.txt").read_text(encoding="utf-8")
            block = re.compile(rf"(<!-- made: {name} -->\n```\w*\n).*?(^```$)", re.DOTALL | re.MULTILINE)
            text, count = block.subn(lambda found, said=said: found[1] + said + found[2], text)
            if count != 1:
                raise SystemExit(f"{page.name}: the block {name} is there {count} times")
            used.add(name)
        page.write_text(text, encoding="utf-8")
    unused = sorted({file.stem for file in SAID.glob("*.txt")} - used)
    print(f"  written: {', '.join(sorted(used))}; not shown: {', '.join(unused)}", file=sys.stderr)


PARTS = {
    "start": model_and_table,
    "plan": plans,
    "fit": watched_fit,
    "after": afterwards,
    "pictures": take_pictures,
    "stop": stopped_fit,
    "lora": adapters_fit,
    "elsewhere": fits_elsewhere,
}
"""In the order of the tutorial; the later ones need what the earlier ones made."""


def main() -> None:
    """As the first lines say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="some of its parts: %(default)s")
    parser.add_argument("--pictures", action="store_true", help="only the pictures of the finished fit")
    parser.add_argument("--write", action="store_true", help="only put the kept outputs into the pages")
    parser.add_argument("--questions", action="store_true", help="make examples/questions.csv again")
    given = parser.parse_args()
    if given.questions:
        write_questions()
        return
    if not (given.pictures or given.write):
        WORK.mkdir(parents=True, exist_ok=True)
        for name in given.only.split(","):
            PARTS[name]()
    if given.pictures:
        take_pictures()
    write_pages()


if __name__ == "__main__":
    main()
