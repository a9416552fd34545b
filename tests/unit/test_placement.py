"""Cgroup paths as engines, drivers and distributions write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.placement import placement
from ksmrun.model.process import Container

ID = "5f2cd1b0deadbeef1234567890abcdef1234567890abcdef1234567890abcdef"
OTHER = "0" * 64
UID = "63b3ebfc-2890-11e9-8154-16bf8ef8d9dc"
BELOW = UID.replace("-", "_")
HASH = "9da3b2a14682e1fb23be3c2492753207"
KUBE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{BELOW}.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"
PATHS = {
    # Docker: systemd driver, cgroupfs, a custom cgroup parent, rootless.
    f"/system.slice/docker-{ID}.scope": ("docker", ID, None),
    f"/docker/{ID}": ("docker", ID, None),
    f"/docker/{ID}/init.scope": ("docker", ID, None),
    f"/games.slice/docker-{ID}.scope": ("docker", ID, None),
    f"{USER}/user.slice/docker-{ID}.scope": ("docker", ID, None),
    f"/docker/{OTHER}/docker/{ID}": ("docker", ID, None),
    f"/games/{ID}": (None, ID, None),
    f"/{ID}": (None, ID, None),
    f"/ecs/0123abcd/{ID}": (None, ID, None),
    # Podman: systemd driver, cgroupfs, pods, Quadlet, rootless; conmon is beside the container.
    f"/machine.slice/libpod-{ID}.scope": ("podman", ID, None),
    f"/machine.slice/libpod-{ID}.scope/container": ("podman", ID, None),
    f"/libpod_parent/libpod-{ID}": ("podman", ID, None),
    f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope": ("podman", ID, None),
    f"/system.slice/web.service/libpod-payload-{ID}": ("podman", ID, None),
    f"{USER}/app.slice/web.service/libpod-payload-{ID}": ("podman", ID, None),
    f"{USER}/user.slice/libpod-{ID}.scope/container": ("podman", ID, None),
    f"/machine.slice/libpod-conmon-{ID}.scope": None,
    "/system.slice/web.service/runtime": None,
    # containerd's own clients.
    "/default/web": ("containerd", "web", None),
    f"/default/{ID}": ("containerd", ID, None),
    f"/k8s.io/{ID}": ("containerd", ID, None),
    f"/system.slice/nerdctl-{ID}.scope": ("containerd", ID, None),
    # Kubernetes with containerd, CRI-O and Docker; both drivers; guaranteed, static and k3s's pods.
    f"{KUBE}/cri-containerd-{ID}.scope": ("containerd", ID, UID),
    f"{KUBE}/crio-{ID}.scope": ("cri-o", ID, UID),
    f"{KUBE}/crio-{ID}.scope/container": ("cri-o", ID, UID),
    f"{KUBE}/docker-{ID}.scope": ("docker", ID, UID),
    f"{KUBE}/crio-conmon-{ID}.scope": None,
    f"/kubepods.slice/kubepods-pod{BELOW}.slice/crio-{ID}.scope": ("cri-o", ID, UID),
    f"/kubepods/burstable/pod{UID}/{ID}": ("containerd", ID, UID),
    f"/kubepods/besteffort/pod{UID}/crio-{ID}": ("cri-o", ID, UID),
    f"/kubepods/pod{HASH}/{ID}": ("containerd", ID, HASH),
    f"/system.slice/containerd.service/kubepods-burstable-pod{BELOW}.slice:cri-containerd:{ID}": (
        ("containerd", ID, UID)
    ),
    f"/kubepods-burstable-pod{HASH}.slice:crio:{ID}": ("cri-o", ID, HASH),
    # kind: a node that is a container itself.
    f"/docker/{OTHER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{BELOW}.slice"
    f"/cri-containerd-{ID}.scope": ("containerd", ID, UID),
    f"/system.slice/docker-{OTHER}.scope/kubelet/kubepods/pod{UID}/{ID}": ("containerd", ID, UID),
    # systemd's machines, and libvirt's.
    "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service": (
        ("systemd-nspawn", "web", None)
    ),
    r"/machine.slice/machine-my\x2dbox.scope": ("machined", "my-box", None),
    r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator": (
        ("machined", "qemu-1-vm", None)
    ),
    # LXC, LXD, Incus, Proxmox; the monitor is beside the container.
    "/lxc/101/ns/system.slice/cron.service": ("lxc", "101", None),
    "/lxc.payload.web/system.slice/cron.service": ("lxc", "web", None),
    "/lxc.payload/web": ("lxc", "web", None),
    "/lxc.monitor.web": None,
    # Seen from another cgroup namespace, and a group that is gone.
    f"/../../system.slice/docker-{ID}.scope": ("docker", ID, None),
    f"/system.slice/docker-{ID}.scope (deleted)": ("docker", ID, None),
    # None.
    "/": None,
    "/system.slice/default/web": None,
    "/default": None,
    f"/system.slice/build-{ID[:40]}.scope": None,
    "/user.slice/user-1000.slice/session-3.scope": None,
}


@pytest.mark.parametrize("path", PATHS)
def test_container(path: str) -> None:
    expected = PATHS[path]
    container = None if expected is None else Container(*expected)
    assert placement(f"0::{path}\n").container == container


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        ("/init.scope", "init.scope"),
        (f"/system.slice/docker-{ID}.scope", f"docker-{ID}.scope"),
        # The host's unit, not that of the systemd in the container.
        ("/machine.slice/systemd-nspawn@a.service/payload/x.service", "systemd-nspawn@a.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        (f"{USER}/app.slice/web.service", "user@1000.service/web.service"),
        (f"{USER}/init.scope", "user@1000.service/init.scope"),
        (USER, "user@1000.service"),
        ("/", None),
        (f"/docker/{ID}", None),
        ("/lxc.payload.web/system.slice/cron.service", None),
    ],
)
def test_unit(path: str, unit: str | None) -> None:
    assert placement(f"0::{path}\n").unit == unit


def test_both_kinds_of_cgroup() -> None:
    """v1's lines come first; the unit is in systemd's, the container in any line that has it."""
    text = f"9:name=systemd:/system.slice/web.service\n4:memory:/docker/{ID}\n0::/\n"
    found = placement(text)
    assert found.unit == "web.service"
    assert found.container == Container("docker", ID)


@given(st.text())
def test_any_text(text: str) -> None:
    placement(text)
    placement(f"0::/{text}")
