"""Trust domains of containers, by ksmrun-oci in front of the real runc and crun."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .bundles import Bundle, Config, Make, hardened, make, plain, with_user_namespace
from .conftest import Claim, merges

__all__ = ["make"]
# They share the state of the host's domains.
pytestmark = pytest.mark.xdist_group("domains")

OPEN: dict[str, object] = {"domains": {"web": {}}}


def ask(make: Make, tmp_path: Path, opened: object, *options: str, **annotations: str) -> Bundle:
    """Return a bundle whose annotations ask the host's configuration."""
    file = tmp_path / "oci.json"
    file.write_text(json.dumps(opened))
    bundle = make()
    at = next(i for i, word in enumerate(bundle.runtime) if word.endswith("ksmrun-oci"))
    bundle.runtime[at + 1 : at + 1] = [f"--ksmrun-config={file}", *options]
    bundle.config["annotations"] = {f"ksmrun.{name}": text for name, text in annotations.items()}
    return bundle


@pytest.mark.parametrize("change", [plain, hardened, with_user_namespace])
def test_only_the_claimed_domain_merges(
    make: Make, tmp_path: Path, claim: Claim, change: Callable[[Config], None]
) -> None:
    """Also the one that the launcher sees through a user namespace; and what is executed in it."""
    claim("web")
    bundle = ask(make, tmp_path, OPEN, domain="web")
    change(bundle.config)
    assert merges(bundle.start("sleep", "300"))
    user = bundle.config["process"]["user"]["uid"]
    at = ["exec", f"--user={user}", bundle.name]
    words = ["sh", "-c", "grep -s ksm_merge_any /proc/self/ksm_stat; exit 7"]
    done = bundle.call(*at, *words)
    assert done.returncode == 7
    assert "no" not in done.stdout.split()
    # Others cannot change what it looks at, and it sees each new state.
    assert bundle.call(*at, "touch", "/dev/ksmrun/trust/state").returncode != 0
    claim("mail")
    strict = ask(make, tmp_path, OPEN, domain="web", require="true")
    change(strict.config)
    done = strict.run("true")
    assert done.returncode == 125
    assert "domain mail merges on this host, and not web" in done.stderr
    done = bundle.call(*at, *words)
    assert done.returncode == 7
    assert "yes" not in done.stdout.split()


def test_who_may_name_a_domain(make: Make, tmp_path: Path, claim: Claim) -> None:
    claim("web")
    closed: list[object] = [{}, {"domains": {}}, {"domains": {"web": {"users": [1]}}}]
    for opened in (*closed, {"domains": 1}):
        bundle = ask(make, tmp_path, opened, domain="web")
        assert not merges(bundle.start("sleep", "300"))
        assert "domain web is not open" in (bundle.path / "output").read_text()
        strict = ask(make, tmp_path, opened, domain="web", require="true")
        assert strict.run("true").returncode == 125
    # The operator may name any.
    bundle = ask(make, tmp_path, {}, "--ksmrun-request=domain=web", domain="mail")
    assert merges(bundle.start("sleep", "300"))
    # An image may name none, and what asks for one does not merge with everybody instead.
    image = ask(make, tmp_path, OPEN)
    image.config["process"]["env"].append("KSMRUN_OCI=domain=web")
    assert not merges(image.start("sleep", "300"))
    assert "named by the image" in (image.path / "output").read_text()


def test_a_damaged_configuration_may_have_named_one(
    make: Make, tmp_path: Path, claim: Claim
) -> None:
    bundle = ask(make, tmp_path, {"domains": 1})
    assert merges(bundle.start("sleep", "300"))
    claim("web")
    other = ask(make, tmp_path, {"domains": 1})
    assert not merges(other.start("sleep", "300"))
    assert "which may name one, cannot be used; fix it" in (other.path / "output").read_text()


@pytest.mark.parametrize("wrong", ["Web", "-a", "", "a" * 64])
def test_without_a_valid_name_nothing_merges(
    make: Make, tmp_path: Path, claim: Claim, wrong: str
) -> None:
    """Rather than with everybody."""
    claim("web")
    bundle = ask(make, tmp_path, OPEN, domain=wrong)
    assert not merges(bundle.start("sleep", "300"))
    assert "not the name of a trust domain" in (bundle.path / "output").read_text()


def test_without_a_claim_nothing_merges(make: Make, tmp_path: Path, claim: Claim) -> None:
    bundle = ask(make, tmp_path, OPEN, domain="web")
    assert not merges(bundle.start("sleep", "300"))
    assert "ksmrun trust claim web" in (bundle.path / "output").read_text()
    claim(None)
    other = ask(make, tmp_path, OPEN, domain="web")
    assert not merges(other.start("sleep", "300"))


def test_secrets_are_made_to_merge_too_late(make: Make, tmp_path: Path, claim: Claim) -> None:
    claim("web")
    bundle = ask(make, tmp_path, OPEN, domain="web", **{"exclude-secrets": "true"})
    assert not merges(bundle.start("sleep", "300"))
    assert "too late" in (bundle.path / "output").read_text()
