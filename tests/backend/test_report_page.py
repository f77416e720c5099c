"""report.html: what report.json says, as a browser reads it."""

import json
import os
import shlex
from html.parser import HTMLParser

import pytest
from PIL import Image

from backend.output.report import Report, title_of


class Reader(HTMLParser):
    """Tables as rows of cells, other text, pictures, and whether all that was opened was closed."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.text, self.pictures, self.open, self.kinds = [], [], [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.kinds.add(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        else:
            self.text.append(data)


def test_a_page_has_all_that_the_report_has(tmp_path):
    old = tmp_path / "old.png"
    Image.new("RGB", (2, 2)).save(old)
    os.utime(old, (0, 0))
    report = Report(["python", "-m", "backend", "evaluate", "images", "--out", "a b", 'the "$x"'])
    report.notes.append("<script>left & out</script>")
    report.settings["steps"] = 20
    report.figures |= {
        "round trip": {"PSNR": 34.5},
        "by method": {"ours": {"n": 3, "success": 0.75}, "theirs": {"n": 3, "PSNR": None}},
        "points": [{"knob": "a<b", "on": True}, {"knob": "c", "list": [1, 2.5]}],
        "suggested": 0.25,
    }
    Image.new("RGB", (2, 2)).save(tmp_path / "curves & #1.png")
    report.write(tmp_path)
    read = Reader((tmp_path / "report.html").read_text("utf-8"))
    assert read.open == []
    assert "script" not in read.kinds
    assert "<script>left & out</script>" in read.text
    typed = next(one for one in read.text if one.startswith("python -m"))
    assert os.name == "nt" or shlex.split(typed) == report.command
    assert read.text.count("evaluate images") == 2  # title and heading
    assert read.pictures == ["curves%20%26%20%231.png"]
    assert read.tables[0] == [["suggested", "0.25"]]
    assert [["PSNR", "34.5"]] in read.tables
    assert [
        ["", "n", "success", "PSNR"], ["ours", "3", "0.75", ""], ["theirs", "3", "", "–"],
    ] in read.tables  # fmt: skip
    assert [
        ["", "knob", "on", "list"], ["1", "a<b", "yes", ""], ["2", "c", "", "1, 2.5"],
    ] in read.tables  # fmt: skip
    assert [["steps", "20"]] in read.tables
    assert json.loads((tmp_path / "report.json").read_text())["figures"]["suggested"] == 0.25


@pytest.mark.parametrize(
    ("command", "title"),
    [
        ("python -m backend bench gpu --out x", "bench gpu"),
        ("watch-your-steps edit photo.jpg red --out x", "edit"),
        ("python -m backend.evaluation.panel x", "Report"),
    ],
)
def test_a_page_is_named_for_its_command(command, title):
    assert title_of(command.split()) == title
