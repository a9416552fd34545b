"""A container engine that takes `ksmrun` for its runtime is told which one it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.cli import run_app
from ksmrun.options.table import MODULES
from ksmrun.support.oci import is_oci_call

WORDS = st.lists(
    st.sampled_from(["--bundle", "/b", "-b", "--log=x", "--root", "create", "--", "x"])
)


@pytest.mark.parametrize(
    "call",
    [
        # Of Podman's conmon, of its own, of Docker's containerd-shim, of CRI-O.
        "--log-format=json --log /b/oci-log create --bundle /b --pid-file /b/pidfile id",
        "--root /run/user/1000/crun delete --force id",
        "--root /run/docker/runtime-runc/moby --log /l --log-format json create --bundle /b id",
        "--systemd-cgroup --root=/run/runc create --bundle /b id",
        "--log-level debug kill id 9",
        "create -b /b id",
        f"delete --force {'0a' * 32}",
        "features",
    ],
)
def test_calls_of_engines(call: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(call.split()) == 1
    said = capfd.readouterr().err
    assert "ksmrun-oci" in said and "wrap runtime podman" in said and "wrap install" in said
    assert "No such option" not in said


@given(st.sampled_from([*MODULES, "--version", "--help"]), WORDS)
def test_own_commands_are_none(command: str, words: list[str]) -> None:
    assert not is_oci_call([command, *words])
    assert not is_oci_call([])
