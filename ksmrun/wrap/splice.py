"""Change YAML and JSON in single places, and keep every other byte. Pure.

What is added is written as JSON, which is also valid YAML inside braces. The tree of nodes is
changed in the same way, and the new text, parsed again, is compared with it: what cannot be spliced
is serialized, without comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from ksmrun.model.errors import KsmrunError
from ksmrun.wrap.container import quoted

NULL = "tag:yaml.org,2002:null"
# A node's anchor and tag.
PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
# Valid JSON that PyYAML rejects.
JSON_ONLY = re.compile(r"\t|\\/|\\u[dD][89abAB]")
# Aliases of aliases grow without bound (a "billion laughs").
NODES_MAX = 200_000


class Splicer:
    """Documents of one text, and the changes to it."""

    def __init__(self, text: str) -> None:
        """Read the text. Raises yaml.YAMLError, and KsmrunError for aliases of aliases."""
        self.text = _readable(text)
        self.documents = _composed(self.text)
        self.has_comments = True
        if _has_aliases(self.documents):
            # One place of the text would change several of the tree.
            budget = [NODES_MAX]
            self.text = _serialized([_copied(node, budget) for node in self.documents])
            self.documents = _composed(self.text)
            self.has_comments = False
        self._edits: list[tuple[int, int, str]] = []

    def set_key(self, mapping: MappingNode, key: str, value: object) -> None:
        """Set a key to a value; an old value must be null."""
        added = flow(value)
        for place, (name, old) in enumerate(mapping.value):
            if text_of(name) == key:
                mapping.value[place] = (name, _node(added))
                start, end = old.start_mark.index, old.end_mark.index
                self._edits.append((start, end, added if end > start else f" {added}"))
                return
        if not mapping.flow_style and mapping.value:
            start = self._place_in(mapping)
            self._edits.append((start, start, f"{key}: {added}\n{self._indent(start)}"))
        else:
            comma = ", " if mapping.value else ""
            self._open(mapping, f"{quoted(key)}: {added}{comma}")
        mapping.value.append((_node(quoted(key)), _node(added)))

    def prepend(self, mapping: MappingNode, key: str, values: Sequence[object]) -> None:
        """Insert values at the front of a list, which is created if missing."""
        known = get(mapping, key)
        if known is None:
            self.set_key(mapping, key, list(values))
            return
        if not isinstance(known, SequenceNode):
            raise KsmrunError(f"{key} is not a list", "fix the manifest: Kubernetes expects a list")
        items = [flow(value) for value in values]
        if known.flow_style:
            self._open(known, ", ".join(items) + (", " if known.value else ""))
        else:
            start = self._start(known)
            self._edits.append(
                (start, start, "".join(f"- {item}\n{self._indent(start)}" for item in items))
            )
        known.value[:0] = [_node(item) for item in items]

    def result(self) -> str:
        """Return the changed text."""
        text = self.text
        for start, end, added in sorted(self._edits, key=lambda edit: edit[0], reverse=True):
            text = text[:start] + added + text[end:]
        try:
            if [_plain(node) for node in _composed(text)] == [_plain(n) for n in self.documents]:
                return text
        except yaml.YAMLError:
            pass
        self.has_comments = False
        return _serialized(self.documents)

    def _place_in(self, mapping: MappingNode) -> int:
        """Return the place after the first key (usually a name), unless a comment follows it."""
        first, *others = [name.start_mark for name, _ in mapping.value if name.start_mark]
        second = others[0] if others else first
        between = self.text[first.index : second.index]
        is_near = second.column == first.column and "#" not in between
        place: int = second.index if is_near else first.index
        return place

    def _start(self, node: CollectionNode) -> int:
        found = PROPERTIES.match(self.text, node.start_mark.index)
        return node.start_mark.index if found is None else found.end()

    def _open(self, node: CollectionNode, added: str) -> None:
        """Insert after the opening bracket."""
        start = self._start(node) + 1
        self._edits.append((start, start, added))

    def _indent(self, index: int) -> str:
        return " " * (index - self.text.rfind("\n", 0, index) - 1)


def get(node: Node | None, key: str) -> Node | None:
    """Return the value of a mapping's key; None for null, or if it is no mapping."""
    if not isinstance(node, MappingNode):
        return None
    for name, value in node.value:
        if text_of(name) == "<<":
            raise KsmrunError(
                "the manifest has merge keys (<<), which cannot be kept",
                "write out what they expand to",
            )
        if text_of(name) == key:
            return None if value.tag == NULL else value
    return None


def items_of(node: Node | None) -> list[Node]:
    """Return the items of a list; none of anything else."""
    return list(node.value) if isinstance(node, SequenceNode) else []


def text_of(node: Node | None) -> str:
    """Return a scalar as written, without quotes; "" for anything else."""
    return str(node.value) if isinstance(node, ScalarNode) else ""


def flow(value: object) -> str:
    """Return a value in a form valid in both JSON and YAML."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{quoted(k)}: {flow(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(flow(each) for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else quoted(str(value))


def _readable(text: str) -> str:
    """Return JSON in a form that PyYAML accepts; it has no comments to lose."""
    if not text.lstrip().startswith(("{", "[")) or JSON_ONLY.search(text) is None:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except ValueError:
        return text


def _composed(text: str) -> list[Node]:
    return [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]


def _node(text: str) -> Node:
    node = yaml.compose(text, yaml.SafeLoader)
    assert node is not None
    return node


def _serialized(documents: Sequence[Node]) -> str:
    rendered: str = yaml.serialize_all(
        documents, None, yaml.SafeDumper, explicit_start=True, width=1 << 30, allow_unicode=True
    )
    return rendered.removeprefix("---\n")


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [each for pair in node.value for each in pair]
    return items_of(node)


def _has_aliases(documents: Sequence[Node]) -> bool:
    seen: set[int] = set()
    left = list(documents)
    while left:
        node = left.pop()
        if id(node) in seen:
            return True
        seen.add(id(node))
        left += _children(node)
    return False


def _copied(node: Node, budget: list[int]) -> Node:
    """Return a copy in which each alias is expanded. The budget stops a cycle."""
    budget[0] -= 1
    if budget[0] < 0:
        raise KsmrunError("the aliases of the manifest expand to too much", "write them out")
    if isinstance(node, ScalarNode):
        return ScalarNode(node.tag, node.value, style=node.style)
    if isinstance(node, MappingNode):
        pairs = [(_copied(name, budget), _copied(value, budget)) for name, value in node.value]
        return MappingNode(node.tag, pairs, flow_style=node.flow_style)
    assert isinstance(node, SequenceNode)
    items = [_copied(each, budget) for each in node.value]
    return SequenceNode(node.tag, items, flow_style=node.flow_style)


def _plain(node: Node) -> Any:
    if isinstance(node, MappingNode):
        pairs = [(text_of(name), _plain(value)) for name, value in node.value]
        return sorted(pairs, key=lambda pair: pair[0])
    if isinstance(node, SequenceNode):
        return [_plain(each) for each in node.value]
    return (node.tag, node.value)
