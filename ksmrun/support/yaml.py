"""YAML, if PyYAML is installed: only container files need it."""

from __future__ import annotations

from typing import Any

from ksmrun.model.errors import KsmrunError
from ksmrun.support.advice import require_module

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


def require_yaml() -> None:
    """Raise KsmrunError if PyYAML is missing."""
    require_module("yaml", "reading YAML needs PyYAML", "containers")


def load(text: str, name: str) -> Any:
    """Return the only document of a file, its scalars as written. Raises KsmrunError.

    Scalars are not interpreted: YAML 1.1 and 1.2 read `yes` and `1e3` differently.
    """
    require_yaml()

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag in KEPT_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    # Compose's tags !reset and !override.
    Loader.add_multi_constructor("!", _untagged)
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise KsmrunError(f"{name} is not valid YAML: {one_line(error)}", "fix the file") from error


def one_line(error: Exception) -> str:
    """Return what is wrong and where, from an error message of several lines."""
    # What has no name is called that.
    return " ".join(str(error).replace('"<unicode string>", ', "").split())


def _untagged(loader: Any, tag: str, node: Any) -> Any:
    if tag == "reset":
        return None
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)
