"""The network policies, applied to imagined connections the way Kubernetes applies them."""

import ipaddress

import manifests

CLUSTER_DNS = {"k8s-app": "kube-dns"}
STRANGER = {"app.kubernetes.io/name": "something-else"}
OPERATOR = {"parlor-admin": "true"}
HERE = "parlor"


def check(report, documents):
    policies = manifests.of_kind(documents, "NetworkPolicy")
    pods = {t["metadata"]["labels"]["app.kubernetes.io/component"]: t for _, t in manifests.pods_of(documents)}
    ours = {component: Peer(template["metadata"]["labels"], HERE, template) for component, template in pods.items()}
    gateway, room_service, nats = ours["gateway"], ours["room-service"], ours["nats"]
    stranger = Peer(STRANGER, HERE)
    ingress = Peer({}, "ingress-nginx")
    monitoring = Peer({}, "monitoring")
    dns = Peer(CLUSTER_DNS, "kube-system")
    node_dns = Peer({}, None, address="169.254.20.10")
    internet = Peer({}, None, address="203.0.113.7")

    connections = [
        ("the ingress reaches gateways", ingress, gateway, 8080, True),
        ("the ingress does not reach metrics", ingress, gateway, 9091, False),
        ("monitoring reaches a gateway's metrics", monitoring, gateway, 9091, True),
        ("monitoring reaches a room service's metrics", monitoring, room_service, 9091, True),
        ("monitoring does not reach the admin port", monitoring, room_service, 9090, False),
        ("an operator's pod reaches the admin port", Peer(OPERATOR, HERE), room_service, 9090, True),
        ("one of another namespace does not", Peer(OPERATOR, "other"), room_service, 9090, False),
        ("a gateway does not reach the admin port", gateway, room_service, 9090, False),
        ("gateways reach NATS", gateway, nats, 4222, True),
        ("room services reach NATS", room_service, nats, 4222, True),
        ("an operator's pod does not reach NATS", Peer(OPERATOR, HERE), nats, 4222, False),
        ("other pods here do not reach NATS", stranger, nats, 4222, False),
        ("the ingress does not reach NATS", ingress, nats, 4222, False),
        ("gateways do not reach NATS's monitoring", gateway, nats, 8222, False),
        ("other pods here do not reach gateways", stranger, gateway, 8080, False),
        ("gateways ask the cluster's DNS", gateway, dns, 53, True),
        ("room services ask the cluster's DNS", room_service, dns, 53, True),
        ("gateways ask the node's DNS", gateway, node_dns, 53, True),
        ("gateways send traces", gateway, monitoring, 4317, True),
        ("room services send traces", room_service, monitoring, 4317, True),
        ("gateways do not call the internet", gateway, internet, 443, False),
        ("NATS calls nobody", nats, internet, 443, False),
        ("NATS does not call gateways", nats, gateway, 8080, False),
        ("other applications here are left alone", stranger, internet, 443, True),
    ]
    in_cluster = "cluster" in nats.ports
    connections += [
        ("NATS servers reach each other's routes", nats, nats, 6222, in_cluster),
        ("gateways do not reach NATS's routes", gateway, nats, 6222, False),
        ("room services do not reach NATS's routes", room_service, nats, 6222, False),
        ("other pods here do not reach NATS's routes", stranger, nats, 6222, False),
        ("NATS asks the cluster's DNS only for its peers", nats, dns, 53, in_cluster),
    ]
    for what, source, target, port, expected in connections:
        report.same(f"network: {what}", allowed(policies, source, target, port), expected)


class Peer:
    """One end: a pod of ours (with its template), another pod, or an address outside the cluster."""

    def __init__(self, labels, namespace, template=None, address=None):
        self.labels = labels
        self.namespace = namespace
        self.address = address
        containers = template["spec"]["containers"] if template else []
        self.ports = {port["name"]: port["containerPort"] for c in containers for port in c["ports"]}

    def is_selected_by(self, policy):
        return self.namespace == HERE and manifests.matches(policy["spec"]["podSelector"], self.labels)

    def is_peer(self, rule):
        if "ipBlock" in rule:
            return self.address and ipaddress.ip_address(self.address) in ipaddress.ip_network(rule["ipBlock"]["cidr"])
        if self.namespace is None:
            return False
        namespace_labels = {"kubernetes.io/metadata.name": self.namespace}
        if "namespaceSelector" in rule:
            if not manifests.matches(rule["namespaceSelector"], namespace_labels):
                return False
        elif self.namespace != HERE:
            return False
        return manifests.matches(rule.get("podSelector", {}), self.labels)


def allowed(policies, source, target, port):
    return one_way(policies, source, "Egress", "egress", "to", target, target, port) and one_way(
        policies, target, "Ingress", "ingress", "from", source, target, port)


def one_way(policies, pod, policy_type, rules, peers, other, target, port):
    selecting = [p["spec"] for p in policies if pod.is_selected_by(p) and policy_type in p["spec"]["policyTypes"]]
    if not selecting:
        return True
    return any(
        any(other.is_peer(peer) for peer in rule[peers])
        and any(target.ports.get(entry["port"], entry["port"]) == port for entry in rule["ports"])
        for spec in selecting
        for rule in spec.get(rules, [])
    )
