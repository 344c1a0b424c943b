"""Reads what deploy/compose and deploy/kubernetes give each service: its variables, and its secrets as files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.release.build import ROOT
from services.alerts.settings import AlertsSettings
from services.ingest.settings import IngestSettings
from services.supply.settings import SupplySettings
from shared.settings import ServiceSettings
from tests.tools import need_kustomize

JSON = dict[str, Any]
SERVICES: Final[dict[str, type[ServiceSettings]]] = {
    "ingest": IngestSettings,
    "supply": SupplySettings,
    "alerts": AlertsSettings,
}
COMPOSE: Final = ROOT / "deploy" / "compose" / "compose.yaml"
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
OVERLAYS: Final = ("small", "large")
PREFIX: Final = "SUPPLY_WATCH_"
SECRETS_DIR: Final = "SUPPLY_WATCH_SECRETS_DIR"
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass
class Given:
    """What one service gets: variables by name, and its folder of secrets by file name."""

    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> set[str]:
        """Every setting of ours that is given, whichever way."""
        named = {*self.variables, *self.secrets}
        return {name for name in named if name.startswith(PREFIX)} - {SECRETS_DIR}


def compose() -> JSON:
    read: JSON = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return read


def of_compose(service: str) -> Given:
    """Secrets by the name of their file, and what it is called in the folder of secrets."""
    told = compose()["services"][service]
    variables = {name: defaulted(str(value)) for name, value in told["environment"].items()}
    secrets = {_mounted(item)[0]: _mounted(item)[1] for item in told["secrets"]}
    return Given(variables | {SECRETS_DIR: "/run/secrets"}, secrets)


def _mounted(item: str | JSON) -> tuple[str, str]:
    """Under which name a secret is mounted, and which it is."""
    return (item, item) if isinstance(item, str) else (item["target"], item["source"])


def defaulted(value: str) -> str:
    """`value` where nobody has set the variables that it names."""
    return _VARIABLE.sub(lambda found: found.group(2) or "", value)


@cache
def rendered(folder: str) -> tuple[JSON, ...]:
    """Every resource that a kustomization gives."""
    command = [*need_kustomize(), str(KUBERNETES / folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return tuple(yaml.safe_load_all(done.stdout))


def workloads(folder: str) -> Iterator[JSON]:
    return (item for item in rendered(folder) if item["kind"] in ("Deployment", "StatefulSet", "Job"))


def of_kubernetes(overlay: str, service: str) -> Given:
    resources = rendered(f"overlays/{overlay}")
    (workload,) = (item for item in workloads(f"overlays/{overlay}") if item["metadata"]["name"] == service)
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = Given()
    for source in container["envFrom"]:
        name = source["configMapRef"]["name"]
        (found,) = (item for item in resources if item["kind"] == "ConfigMap" and item["metadata"]["name"] == name)
        given.variables |= found["data"]
    given.variables |= {item["name"]: item.get("value", "a-pod") for item in container.get("env", ())}
    (volume,) = (item for item in pod["volumes"] if item["name"] == "secrets")
    for source in volume["projected"]["sources"]:
        given.secrets |= {item["path"]: item["key"] for item in source["secret"]["items"]}
    return given


def of_dockerfile() -> dict[str, str]:
    """The variables that the image sets for all of them."""
    text = (ROOT / "deploy" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.removeprefix("ENV ") for line in text.splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def known_settings(service: str) -> set[str]:
    return {f"{PREFIX}{service.upper()}_{name.upper()}" for name in SERVICES[service].model_fields}


def with_secrets(given: Given, folder: Path, values: dict[str, str]) -> Path:
    """Lays the secrets out as Kubernetes mounts them, by links inside the folder; `values` by what they are."""
    (folder / "..2026").mkdir(parents=True)
    (folder / "..data").symlink_to("..2026")
    for name, source in given.secrets.items():
        (folder / "..2026" / name).write_text(values.get(source, "a-secret"))
        (folder / name).symlink_to(f"..data/{name}")
    return folder
