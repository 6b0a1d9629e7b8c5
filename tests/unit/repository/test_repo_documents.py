"""What the documents name exists: files, folders, anchors, make targets, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.repository import cli_page
from tests.unit.repository.tree import REPOSITORY

LISTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
PAGES = sorted(str(page.relative_to(REPOSITORY)) for page in REPOSITORY.glob("docs/*.md"))
TOP = {path.name for path in REPOSITORY.iterdir()}

_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"\.?[\w-][\w.*-]*(/[\w.*-]+)*/?")


def read(name: str) -> str:
    return (REPOSITORY / name).read_text("utf-8")


def named_files(text: str) -> set[str]:
    """Paths in backticks: what begins with a folder of ours, or is a file at the top."""
    words = {word for code in _CODE.findall(_FENCE.sub("", text)) for word in code.split()}
    return {
        word
        for word in words
        if _PATH.fullmatch(word) and word.split("/")[0] in TOP and ("/" in word or "." in word)
    }


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("name", [*LISTS, *PAGES])
def test_every_file_named_exists(name: str) -> None:
    missing = sorted(path for path in named_files(read(name)) if not list(REPOSITORY.glob(path.rstrip("/"))))
    assert missing == []


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_the_ways_of_a_request_and_a_config_change_are_lists_of_files(name: str) -> None:
    for title in ("Follow one request", "Follow one config change"):
        section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", read(name), re.MULTILINE | re.DOTALL)
        assert section is not None, title
        assert len(named_files(section[1])) >= 5, title


@pytest.mark.parametrize("name", [*LISTS, "CHANGELOG.md", *PAGES])
def test_every_link_leads_somewhere(name: str) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", read(name))):
        if link.startswith("https://"):
            continue
        path, _, wanted = link.partition("#")
        target = (REPOSITORY / name).parent / path if path else REPOSITORY / name
        if not target.exists():
            broken.append(link)
        elif wanted and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", target.read_text("utf-8")), re.MULTILINE)
            if wanted not in map(anchor, headings):
                broken.append(link)
    assert broken == []


def test_every_page_is_reachable_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in _LINK.findall(read("README.md"))}
    assert [page for page in PAGES if page not in linked] == []


@pytest.mark.parametrize("name", [*LISTS, *PAGES])
def test_every_make_target_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", read(name), re.MULTILINE))
    assert named - targets == set()


def test_the_command_page_shows_the_help_as_it_is() -> None:
    """`make docs` writes it."""
    assert read("docs/cli.md") == cli_page.page()


def test_the_license_is_the_whole_text_of_apache_2_0() -> None:
    text = read("LICENSE")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text.splitlines()) > 195


def test_named_files_finds_paths_and_leaves_out_what_is_none() -> None:
    text = (
        "see `proxy/call.py`, `make up`, `/v1/models`, `proxy/none.py`, `openai/*`\n```\n`docs/x.md`\n```\n"
    )
    assert named_files(text) == {"proxy/call.py", "proxy/none.py"}
    assert not Path(REPOSITORY / "proxy/none.py").exists()
