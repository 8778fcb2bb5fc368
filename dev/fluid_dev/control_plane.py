"""The command lines of kube-apiserver, kube-controller-manager and kube-scheduler: data in, arguments out.

Default flags are right where nothing is said here; each of these was needed to make the server start or work without
nodes. Starts nothing itself.
"""

import ipaddress
from pathlib import Path

from fluid_dev.pki import Authority

# What an operator without pods needs; the others would only use up CPU.
_CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "resourcequota-controller",
    "clusterrole-aggregation-controller",
)


def apiserver_args(authority: Authority, *, etcd: str, address: str, port: int) -> list[str]:
    """`address`: where it listens, and what the Service `kubernetes` leads to unless it is a loopback address."""
    certificate, key = authority.server("apiserver", [address])
    loopback = ipaddress.ip_address(address).is_loopback
    kubelet_certificate, kubelet_key = authority.client("kubelet-client", "kubelet-client", ["system:masters"])
    account_public, account_private = authority.key_pair("service-accounts")
    return [
        f"--etcd-servers={etcd}",
        f"--bind-address={address}",
        f"--secure-port={port}",
        f"--advertise-address={address}",
        *(["--endpoint-reconciler-type=none"] if loopback else []),  # else it refuses to advertise such an address
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--client-ca-file={authority.certificate_file}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={account_private}",
        f"--service-account-key-file={account_public}",
        f"--kubelet-client-certificate={kubelet_certificate}",
        f"--kubelet-client-key={kubelet_key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def controller_manager_args(authority: Authority, kubeconfig: Path, *, all_controllers: bool = False) -> list[str]:
    """`all_controllers`: those that Kubernetes runs by default, Jobs and Deployments among them."""
    _, account_private = authority.key_pair("service-accounts")
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        f"--controllers={'*' if all_controllers else ','.join(_CONTROLLERS)}",
        # The plain user may do too little: namespaces would never finish deleting.
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={account_private}",
        f"--root-ca-file={authority.certificate_file}",
        f"--cluster-signing-cert-file={authority.certificate_file}",
        f"--cluster-signing-key-file={authority.key_file}",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]


def scheduler_args(kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]
