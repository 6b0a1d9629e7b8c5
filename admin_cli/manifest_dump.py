"""Values as YAML that reads back as the same values: the counterpart of manifest_yaml.

Text that this package's reader would take for a number, a word or nothing is quoted.
"""

from __future__ import annotations

from typing import Any

import yaml

from admin_cli.manifest_yaml import resolve


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper without aliases, with lists indented under their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(text), str) and text != "<<" else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(document: Any) -> str:
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100
    )
    return text


def escape_dollars(value: Any) -> Any:
    """`value` with every `$` doubled, so that reading it as a manifest gives it back."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: escape_dollars(item) for key, item in value.items()}
    return [escape_dollars(item) for item in value] if isinstance(value, list) else value
