"""Decides how Prometheus and Grafana are run beside the stack, where they are installed: with the files of deploy/."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.local.children import ChildSpec
from deploy.local.ports import HOST, Ports
from deploy.local.rundir import RunDir, write_private_text
from deploy.postgres.roles import DATABASE
from shared.database import READ_ONLY_ROLE

DEPLOY: Final = Path(__file__).resolve().parent.parent
PROMETHEUS: Final = "prometheus"
GRAFANA: Final = "grafana"
# What says that it is ready.
HEALTH: Final[Mapping[str, str]] = {PROMETHEUS: "/-/ready", GRAFANA: "/api/health"}
# Where to get what is not there.
ABSENT: Final[Mapping[str, str]] = {
    PROMETHEUS: "not installed (Debian: apt-get install prometheus)",
    GRAFANA: "not installed (https://grafana.com/grafana/download)",
}
PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {PROMETHEUS: ("prometheus",), GRAFANA: ("grafana", "grafana-server")}
SCRAPE_SECONDS: Final = 15
KEPT_DAYS: Final = 15
KEPT_BYTES: Final = "1GB"
READY_TIMEOUT_SECONDS: Final = 30.0
GRAFANA_HOME: Final = Path("/usr/share/grafana")


@dataclass(frozen=True, slots=True)
class Watchers:
    """What there is on this machine to watch the stack with."""

    run_dir: RunDir
    ports: Ports

    def installed(self) -> tuple[str, ...]:
        return tuple(name for name in PROGRAMS if _program(name) is not None)

    def prometheus(self, services: tuple[str, ...], scrape_seconds: int = SCRAPE_SECONDS) -> ChildSpec:
        """Prometheus that scrapes these services, its data under RUN_DIR."""
        home = self._folder(PROMETHEUS)
        config = home / "prometheus.yml"
        write_private_text(config, yaml.safe_dump(scrape_config(self.ports, services, scrape_seconds)))
        command = (
            str(_program(PROMETHEUS)),
            f"--config.file={config}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--storage.tsdb.retention.time={KEPT_DAYS}d",
            f"--storage.tsdb.retention.size={KEPT_BYTES}",
            f"--web.listen-address={self.ports.address(PROMETHEUS)}",
            "--log.level=warn",
        )
        return ChildSpec(PROMETHEUS, command, home)

    def grafana(self, password: str, ledger_password: str) -> ChildSpec:
        """Grafana with the dashboards of deploy/grafana; `password` is that of its user `admin`."""
        program, home = _program(GRAFANA), self._folder(GRAFANA)
        assert program is not None
        write_private_text(
            self._folder(GRAFANA, "provisioning", "datasources") / "supply-watch.yaml",
            yaml.safe_dump(data_sources(self.ports, ledger_password)),
        )
        write_private_text(
            self._folder(GRAFANA, "provisioning", "dashboards") / "supply-watch.yaml",
            yaml.safe_dump(_dashboards()),
        )
        unpacked = program.resolve().parent.parent
        homepath = unpacked if (unpacked / "public").is_dir() else GRAFANA_HOME
        server = ("server",) if program.name == GRAFANA else ()
        environment = {
            "GF_PATHS_DATA": str(home / "data"),
            "GF_PATHS_LOGS": str(home / "data" / "log"),
            "GF_PATHS_PLUGINS": str(home / "data" / "plugins"),
            "GF_PATHS_PROVISIONING": str(home / "provisioning"),
            "GF_SERVER_HTTP_ADDR": HOST,
            "GF_SERVER_HTTP_PORT": str(self.ports.of(GRAFANA)),
            "GF_SECURITY_ADMIN_PASSWORD": password,
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            "GF_NEWS_NEWS_FEED_ENABLED": "false",
            "GF_LOG_MODE": "console",
        }
        return ChildSpec(GRAFANA, (str(program), *server, "--homepath", str(homepath)), home, environment)

    def _folder(self, *names: str) -> Path:
        folder = self.run_dir.path.joinpath(*names)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def scrape_config(ports: Ports, services: tuple[str, ...], scrape_seconds: int) -> dict[str, Any]:
    """deploy/prometheus/prometheus.yml with the stack's own addresses."""
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    config["global"] |= {
        "scrape_interval": f"{scrape_seconds}s",
        "scrape_timeout": f"{min(scrape_seconds, 10)}s",
        "evaluation_interval": f"{scrape_seconds}s",
    }
    config["rule_files"] = [str(DEPLOY / "prometheus" / file) for file in config["rule_files"]]
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in services]
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [ports.address(job["job_name"])]}]
    return config


def data_sources(ports: Ports, ledger_password: str) -> dict[str, Any]:
    """deploy/grafana's data sources with the stack's own addresses."""
    found: dict[str, Any] = _provisioning("datasources")
    prometheus, ledger = found["datasources"]
    prometheus["url"] = ports.url(PROMETHEUS)
    ledger |= {"url": ports.address("postgres"), "user": READ_ONLY_ROLE}
    ledger["jsonData"] |= {"database": DATABASE, "sslmode": "disable"}
    ledger["secureJsonData"] = {"password": ledger_password}
    return found


def _dashboards() -> dict[str, Any]:
    found: dict[str, Any] = _provisioning("dashboards")
    found["providers"][0]["options"]["path"] = str(DEPLOY / "grafana" / "dashboards")
    return found


def _provisioning(kind: str) -> Any:
    return yaml.safe_load((DEPLOY / "grafana" / "provisioning" / kind / "supply-watch.yaml").read_text("utf-8"))


def _program(name: str) -> Path | None:
    found = next(filter(None, map(shutil.which, PROGRAMS[name])), None)
    return None if found is None else Path(found)
