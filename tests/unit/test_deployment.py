"""deploy/ by itself: every setting named exists, every required one is given, and containers are closed."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cryptography import x509

from deploy.compose.make_secrets import make_secrets
from deploy.kafka.plan import TOPICS_FILE, load_grants
from deploy.release.build import ROOT, TOOLS
from services.ingest.inbound_reader import GROUP as INGEST_GROUP
from shared.topic_layout import load_topics
from tests.tools import need_release_tools
from tests.unit.deployment_read import (
    COMPOSE,
    KUBERNETES,
    OVERLAYS,
    PREFIX,
    SECRETS_DIR,
    SERVICES,
    Given,
    compose,
    defaulted,
    known_settings,
    of_compose,
    of_dockerfile,
    of_kubernetes,
    rendered,
    with_secrets,
    workloads,
)

KUBERNETES_VERSION: Final = "1.34"
FOLDERS: Final = (*(f"overlays/{overlay}" for overlay in OVERLAYS), "setup")
VERSIONED: Final = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?[a-z0-9.-]*$")
KEY: Final = f"sw_{'a' * 12}_{'b' * 43}"
OURS: Final = ("ingest", "supply", "alerts", "kafka-setup", "postgres-setup")
# What a service must be given that its class has a default for, so that nothing would say it is missing.
BESIDE: Final = {"ingest": {"BOOTSTRAP_ADMIN_KEY", "KAFKA_CA_FILE"}, "supply": {"KAFKA_CA_FILE"}}


def _ways(service: str) -> dict[str, Given]:
    return {"compose": of_compose(service), **{name: of_kubernetes(name, service) for name in OVERLAYS}}


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_that_is_given_exists(service: str) -> None:
    for way, given in _ways(service).items():
        assert given.settings - known_settings(service) == set(), way
        assert BESIDE.get(service, set()) <= {
            name.removeprefix(f"{PREFIX}{service.upper()}_") for name in given.settings
        }
    everywhere = set().union(*(known_settings(name) for name in SERVICES)) | {SECRETS_DIR}
    assert {name for name in of_dockerfile() if name.startswith(PREFIX)} <= everywhere


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_takes_what_it_is_given_and_wants_nothing_else(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for way, given in _ways(service).items():
        folder = with_secrets(given, tmp_path / way, {"bootstrap_admin_key": KEY, "BOOTSTRAP_ADMIN_KEY": KEY})
        with monkeypatch.context() as surroundings:
            for name, value in (of_dockerfile() | given.variables).items():
                surroundings.setenv(name, value)
            settings = SERVICES[service].load(_secrets_dir=folder)
        assert settings.http_host == "0.0.0.0", way
        assert settings.kafka_security_protocol == "SASL_SSL", way
        assert settings.database_url.get_secret_value() == "a-secret", way
        assert settings.kafka_ca_file is not None and settings.kafka_ca_file.name in given.secrets, way


def test_every_image_is_pinned_by_a_version() -> None:
    images = {service["image"] for service in compose()["services"].values()}
    for folder in FOLDERS:
        for workload in workloads(folder):
            images |= {container["image"] for container in workload["spec"]["template"]["spec"]["containers"]}
    text = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    python = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    images |= {re.sub(r"\$\{(\w+)\}", lambda found: python[found[1]], name) for name in re.findall(r"FROM (\S+)", text)}
    assert len(images) >= 6
    assert [image for image in images if not VERSIONED.match(image)] == []
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    assert {image for image in images if image.startswith("supply-watch")} == {f"supply-watch:{version[1]}"}


def test_the_dockerfile_has_no_fault_that_a_linter_knows_and_is_no_root() -> None:
    need_release_tools()
    file = ROOT / "deploy" / "Dockerfile"
    done = subprocess.run([TOOLS / "hadolint", file], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    text = file.read_text("utf-8")
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*deploy\.healthcheck", text, re.MULTILINE)


# Compose.


def test_compose_is_what_the_compose_specification_says(tmp_path: Path) -> None:
    need_release_tools()
    program = "import sys, compose_spec; compose_spec.PyCompose.from_yaml(sys.stdin.read())"

    def refused(text: str) -> str:
        command = [str(TOOLS / "python"), "-c", program]
        return subprocess.run(command, check=False, input=text, capture_output=True, text=True).stderr

    # Merge keys are YAML's own, and variables Compose's: the library reads neither.
    whole = defaulted(yaml.safe_dump(compose(), sort_keys=False))
    assert refused(whole) == ""
    assert refused(whole.replace("condition: service_started", "condition: whenever")) != ""


def test_compose_refers_to_nothing_that_is_not_there(tmp_path: Path) -> None:
    told = compose()
    services, volumes, networks, secrets = (told[part] for part in ("services", "volumes", "networks", "secrets"))
    used: set[str] = set()
    for name, service in services.items():
        named = {item if isinstance(item, str) else item["source"] for item in service.get("secrets", ())}
        assert named <= secrets.keys(), name
        assert set(service["networks"]) <= networks.keys(), name
        assert set(service.get("depends_on", ())) <= services.keys(), name
        used |= named
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in volumes or source.startswith("."), (name, source)
    assert used == secrets.keys()
    make_secrets(tmp_path / "secrets")
    assert {f"./secrets/{file.name}" for file in (tmp_path / "secrets").iterdir()} >= {
        item["file"] for item in secrets.values()
    }


def test_grafana_is_given_what_its_provisioning_asks_for() -> None:
    told = compose()["services"]["grafana"]
    mounted = [volume.split(":")[0] for volume in told["volumes"]]
    assert {"../grafana/provisioning", "../grafana/dashboards"} <= set(mounted)
    for file in (ROOT / "deploy" / "grafana" / "provisioning").rglob("*.yaml"):
        text = file.read_text("utf-8")
        assert set(re.findall(r"\$\{(\w+)\}", text)) <= told["environment"].keys()
        secrets = {item["target"] for item in told["secrets"] if isinstance(item, dict)}
        assert set(re.findall(r"\$__file\{/run/secrets/([\w-]+)\}", text)) <= secrets


def test_no_container_of_compose_is_root_by_right_can_write_or_take_all() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["mem_limit"], name
        assert not service.get("privileged") and service.get("network_mode") is None, name
        assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service.get("ports", ())), name


def test_secrets_are_made_once_can_be_read_by_containers_and_by_nobody_else_here(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = make_secrets(folder, ("kafka.example.org",))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert set(made) == before.keys()
    assert make_secrets(folder) == []
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {file.name for file in folder.iterdir() if stat.S_IMODE(file.stat().st_mode) != 0o444} == {"ca.key"}
    passwords = json.loads(before["postgres_roles.json"])
    assert (
        before["supply_database_url"].decode()
        == f"postgresql://supply:{passwords['supply']}@postgres:5432/supply_watch"
    )
    broker = x509.load_pem_x509_certificate(
        before["kafka.pem"].partition(b"-----BEGIN CERTIFICATE")[1]
        + before["kafka.pem"].partition(b"-----BEGIN CERTIFICATE")[2]
    )
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"kafka", "localhost", "kafka.example.org"} <= set(names.get_values_for_type(x509.DNSName))
    broker.verify_directly_issued_by(x509.load_pem_x509_certificate(before["ca.pem"]))


# Kubernetes.


def test_kubernetes_takes_every_resource() -> None:
    need_release_tools()
    program = (
        "import json, sys, kubernetes_validate as check\n"
        "for item in json.load(sys.stdin):\n"
        f"    try: check.validate(item, {KUBERNETES_VERSION!r}, strict=True)\n"
        "    except check.ValidationError as error: print(item['metadata']['name'], error.message)"
    )
    ours = [item for folder in FOLDERS for item in rendered(folder) if not item["apiVersion"].startswith("keda.sh/")]
    (namespace,) = (item for item in rendered("overlays/small") if item["kind"] == "Namespace")
    wrong = namespace | {"metadata": {"name": "wrong"}, "anything": 1}
    different = {json.dumps(item) for item in (*ours, wrong)}
    assert len(different) > 20
    command, told = [str(TOOLS / "python"), "-c", program], f"[{','.join(different)}]"
    done = subprocess.run(command, check=True, input=told, capture_output=True, text=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["wrong"]


def _names(folder: str, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in rendered(folder) if item["kind"] == kind}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_service_has_probes_limits_a_budget_and_may_be_reached_by_whoever_is_named(overlay: str) -> None:
    folder = f"overlays/{overlay}"
    assert {item["metadata"]["name"] for item in workloads(folder)} == set(SERVICES)
    assert set(SERVICES) <= _names(folder, "Service")
    assert set(SERVICES) == _names(folder, "PodDisruptionBudget")
    for workload in workloads(folder):
        name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        (port,) = (item["containerPort"] for item in container["ports"])
        assert port == _port(name)
        assert container["startupProbe"]["httpGet"]["path"] == "/health/live"
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        # It stops within 10 s of SIGTERM, which comes when the balancers have been told.
        assert pod["terminationGracePeriodSeconds"] >= container["lifecycle"]["preStop"]["sleep"]["seconds"] + 10
    policies = {item["metadata"]["name"]: item["spec"] for item in rendered(folder) if item["kind"] == "NetworkPolicy"}
    assert policies["nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _port(service: str) -> int:
    found = re.search(r"^http_port = (\d+)$", (ROOT / "services" / service / "defaults.toml").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_pod_is_root_can_write_or_knows_the_cluster(folder: str) -> None:
    for workload in workloads(folder):
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} == container["resources"]["limits"].keys()
            assert {"cpu", "memory"} == container["resources"]["requests"].keys()


def _scaled() -> list[dict[str, Any]]:
    return [item for item in rendered("overlays/large") if item["kind"] == "ScaledObject"]


def test_services_are_scaled_by_groups_and_topics_that_exist_and_that_the_scaler_may_see() -> None:
    topics = {topic.name: topic for topic in load_topics(TOPICS_FILE)}
    seen = {(grant.resource, grant.name) for grant in load_grants() if grant.principal == "keda"}
    assert {grant.operation for grant in load_grants() if grant.principal == "keda"} == {"Describe"}
    for item in _scaled():
        target = item["spec"]["scaleTargetRef"]["name"]
        kafka = [trigger["metadata"] for trigger in item["spec"]["triggers"] if trigger["type"] == "kafka"]
        assert {trigger["consumerGroup"] for trigger in kafka} == {INGEST_GROUP if target == "ingest" else target}
        assert ("group", target) in seen
        for trigger in kafka:
            wanted = trigger.get("topic", "inbound.")
            assert ("topic", wanted) in seen
            assert wanted in topics or wanted == "inbound."
    assert {item["spec"]["scaleTargetRef"]["name"] for item in _scaled()} == set(SERVICES)
    (supply,) = (item["spec"] for item in _scaled() if item["metadata"]["name"] == "supply")
    assert supply["maxReplicaCount"] <= topics["supply.movements.v1"].partitions
    assert _names("overlays/small", "ScaledObject") == set()


def test_keda_takes_what_scales_the_services(tmp_path: Path) -> None:
    modules = ROOT / "build" / "keda" / "node_modules"
    if not modules.exists():
        why = "npm install --prefix build/keda --no-save @kubernetes-models/keda@2.0.0 (as .ci/run does)"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    ours = [item for item in rendered("overlays/large") if item["apiVersion"].startswith("keda.sh/")]
    assert len(ours) == 4
    program = (
        "import * as keda from '@kubernetes-models/keda/keda.sh/v1alpha1'; import { readFileSync } from 'fs';"
        " for (const item of JSON.parse(readFileSync(0))) new keda[item.kind](item).validate();"
    )

    def refused(items: list[dict[str, Any]]) -> str:
        command = ["node", "--input-type=module", "--eval", program]
        told = json.dumps(items)
        done = subprocess.run(command, check=False, input=told, cwd=modules.parent, capture_output=True, text=True)
        return done.stderr

    assert refused(ours) == ""
    assert "scaleTargetRef" in refused([item | {"spec": {"triggers": []}} for item in _scaled()])


def test_what_is_said_of_a_file_here_is_there() -> None:
    for place in (COMPOSE, *KUBERNETES.rglob("*.yaml")):
        for name in re.findall(r"\b(?:deploy|services)/[\w./<>-]*\w", place.read_text("utf-8")):
            assert "<" in name or (ROOT / name).exists(), f"{place.name}: {name}"
