"""Control plane of a cluster: its certificates, its daemons, and its administrator's client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from waiting import wait_until

if TYPE_CHECKING:
    from .cluster import Cluster

# Of the API server in the cluster. It listens there, as no kube-proxy translates it.
SERVICE = "10.96.0.1"
SUBJECTS = {"admin": "/O=system:masters/CN=admin", "server": "/CN=kube-apiserver"}
NAMES = f"subjectAltName=IP:{SERVICE},IP:127.0.0.1"


def make_certificates(folder: Path) -> None:
    """Make a CA, the certificates of SUBJECTS, and the key of service accounts."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "7")
    openssl(*new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    for name, subject in SUBJECTS.items():
        ask = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", subject, "-addext", NAMES)
        openssl(*new, *ask, "-CA", "ca.crt", "-CAkey", "ca.key")
    openssl("genrsa", "-out", "accounts.key", "2048")
    user = {"client-certificate": f"{folder}/admin.crt", "client-key": f"{folder}/admin.key"}
    server = {"server": f"https://{SERVICE}:443", "certificate-authority": f"{folder}/ca.crt"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "admin.conf").write_text(json.dumps(config))


def start_control_plane(cluster: Cluster) -> None:
    folder, programs = cluster.folder, cluster.programs
    client = "http://127.0.0.1:2379"
    cluster.daemon(
        "etcd",
        "etcd",
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        "--listen-peer-urls=http://127.0.0.1:2380",
    )
    cluster.daemon(
        "apiserver",
        programs / "kube-apiserver",
        f"--etcd-servers={client}",
        "--insecure-port=0",
        "--secure-port=443",
        "--advertise-address=192.0.2.1",
        "--service-cluster-ip-range=10.96.0.0/24",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        *(f"--service-account-{use}-file={folder}/accounts.key" for use in ("key", "signing-key")),
        f"--client-ca-file={folder}/ca.crt",
        f"--tls-cert-file={folder}/server.crt",
        f"--tls-private-key-file={folder}/server.key",
        f"--kubelet-client-certificate={folder}/admin.crt",
        f"--kubelet-client-key={folder}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
    )
    ready = ("get", "--raw=/readyz")
    wait_until(lambda: cluster.kubectl(*ready, check=False).returncode == 0, "API server")
    cluster.daemon(
        "controller-manager",
        programs / "kube-controller-manager",
        f"--kubeconfig={folder}/admin.conf",
        f"--service-account-private-key-file={folder}/accounts.key",
        f"--root-ca-file={folder}/ca.crt",
        "--leader-elect=false",
        # kubelet is late on a busy machine.
        "--node-monitor-grace-period=5m",
    )
    cluster.daemon(
        "scheduler",
        programs / "kube-scheduler",
        f"--kubeconfig={folder}/admin.conf",
        "--leader-elect=false",
    )
