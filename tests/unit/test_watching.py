"""What those who watch the services are given: the list of metrics, rules with tests, dashboards that ask for them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from rich.console import Console

from deploy.documents import watching
from deploy.grafana import dashboards
from deploy.grafana.dashboards import asked
from deploy.local.ports import Ports
from deploy.local.rundir import RunDir
from deploy.local.stack import Stack, StackOptions
from deploy.local.supervisor import tell
from deploy.local.watching import DEPLOY, Watchers, data_sources, scrape_config
from deploy.prometheus.metrics import OF_THE_TARGET, declared, series
from deploy.prometheus.promql import Named, named
from shared.settings import ROOT

FILES: Final = dict(watching())
PROMETHEUS: Final = DEPLOY / "prometheus"
SERVICES: Final = ("ingest", "supply", "alerts")
# Of these there are as many as there are products, lots, events, keys or receivers.
WITHOUT_END: Final = frozenset(
    "product gtin lot event event_id id source subject scope authorisation offset partition key producer endpoint"
    " url path alert user".split()
)
# What Prometheus makes of its own rules.
ALERTS: Final = {"ALERTS": ("alertname", "alertstate", "severity", "job", "service")}


def rules() -> Iterator[dict[str, Any]]:
    for file in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]:
            yield from group["rules"]


def cases_of_rules() -> Iterator[dict[str, Any]]:
    for file in sorted((PROMETHEUS / "tests").glob("*.yml")):
        yield from yaml.safe_load(file.read_text("utf-8"))["tests"]


RECORDED: Final = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
ALERTING: Final = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def filled(expression: str) -> str:
    """With something in the place of Grafana's variables."""
    for name, value in {"__rate_interval": "5m", "__range": "1h", "service": "supply", "goal": "one"}.items():
        expression = expression.replace(f"${name}", value)
    return expression


def expressions() -> dict[str, Named]:
    """Every expression there is, by where it stands."""
    of_rules = {rule.get("record") or rule["alert"]: rule["expr"] for rule in rules()}
    of_panels = {
        f"{one.dashboard}: {one.panel}: {one.expression}": filled(one.expression) for one in asked() if one.expression
    }
    return {where: named(expression) for where, expression in {**of_rules, **of_panels}.items()}


def known_series() -> dict[str, frozenset[str]]:
    """By name, the labels that a series may have."""
    of_metrics = {name: frozenset((*labels, *OF_THE_TARGET)) for name, labels in {**series(), **ALERTS}.items()}
    return of_metrics | {name: named(expression).labels for name, expression in RECORDED.items()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_committed_file_is_that_of_the_code(file: Path) -> None:
    assert file.read_text("utf-8") == FILES[file], "write them anew: make documents"


def test_no_dashboard_is_committed_that_is_not_code() -> None:
    assert set(dashboards.FOLDER.iterdir()) == {file for file, _ in dashboards.files()}


def test_no_metric_has_a_label_that_grows_without_end() -> None:
    for metric in declared():
        assert not WITHOUT_END.intersection(metric.labels), metric.name
        assert metric.name.startswith("supply_watch_")


def test_a_metric_has_one_name_in_all_services() -> None:
    assert max(Counter(metric.name for metric in declared()).values()) == 1


def test_whatever_an_expression_names_is_there() -> None:
    known = known_series()
    for where, expression in expressions().items():
        allowed: frozenset[str] = frozenset()
        for name, matched in expression.series:
            assert name in known, f"{where}: {name}"
            assert matched <= known[name], f"{where}: {name} has no label {', '.join(matched - known[name])}"
            allowed |= known[name]
        assert expression.labels <= allowed, f"{where}: {', '.join(expression.labels - allowed)}"


def test_what_the_variables_of_dashboards_ask_for_is_there() -> None:
    known = known_series()
    for queries in dashboards.variables().values():
        for query in queries:
            asks = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
            assert asks is not None and asks[2] in known[asks[1]], query


def test_what_all_replicas_say_alike_is_not_added_up() -> None:
    alike = {metric.name for metric in declared() if metric.same_everywhere}
    for where, expression in expressions().items():
        plain = [name for name, _ in expression.series if name in alike]
        assert Counter(plain) == Counter(name for name in expression.by_max if name in alike), where


def test_every_metric_of_ours_is_looked_at() -> None:
    """Those that no panel and no rule asks for are for whoever looks closer; they are few."""
    named_somewhere = {name for expression in expressions().values() for name in expression.names}
    unseen = {m.name for m in declared() if not named_somewhere.intersection(name for name, _ in m.series())}
    assert unseen == {
        "supply_watch_ingest_capture_events_total",
        "supply_watch_ingest_capture_retries_total",
        "supply_watch_ingest_replays_total",
        "supply_watch_supply_entries_total",
    }


def test_every_alerting_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    found = [case for test in cases_of_rules() for case in test.get("alert_rule_test", ())]
    assert {case["alertname"] for case in found if case["exp_alerts"]} == set(ALERTING)
    assert {case["alertname"] for case in found if not case["exp_alerts"]} == set(ALERTING)


def test_every_recording_rule_has_a_test() -> None:
    cases = [case for test in cases_of_rules() for case in test.get("promql_expr_test", ())]
    assert {name for case in cases for name in named(case["expr"]).names} == set(RECORDED)


def test_every_alerting_rule_says_how_bad_it_is_and_what_is_wrong() -> None:
    for name, rule in ALERTING.items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert len(rule["annotations"]["summary"]) > 20, name


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        why = "promtool is not there: apt-get install prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_its_configuration_and_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    promtool("check", "rules", *map(str, (PROMETHEUS / "rules").glob("*.yml")))


@pytest.mark.parametrize("file", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_the_tests_of_the_rules_pass(file: Path) -> None:
    promtool("test", "rules", str(file))


def test_the_embedded_stack_has_the_same_jobs_with_its_own_addresses(tmp_path: Path) -> None:
    config = scrape_config(Ports(9000), SERVICES, 1)
    assert {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]} == {
        "ingest": ["127.0.0.1:9010"],
        "supply": ["127.0.0.1:9020"],
        "alerts": ["127.0.0.1:9030"],
    }
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    promtool("check", "config", str(file))


def test_panels_read_from_the_data_sources_that_are_provisioned() -> None:
    found = {(source["uid"], source["type"]) for source in data_sources(Ports(9000), "secret")["datasources"]}
    for file, text in dashboards.files():
        for panel in json.loads(text)["panels"]:
            for place in (panel, *panel.get("targets", ())):
                if panel["type"] != "row":
                    source = place["datasource"]
                    assert (source["uid"], source["type"]) in found, (file.name, panel["title"])


def test_panels_do_not_overlap() -> None:
    for file, text in dashboards.files():
        taken: Counter[tuple[int, int]] = Counter()
        panels = json.loads(text)["panels"]
        for panel in panels:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24, (file.name, panel["title"])
            taken.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
        assert max(taken.values()) == 1, file.name
        assert len({panel["id"] for panel in panels}) == len(panels)


def test_grafana_is_run_with_a_password_of_its_own_and_the_ledgers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "grafana"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    run_dir = RunDir(tmp_path / "run")
    watchers = Watchers(run_dir, Ports(9000))
    assert watchers.installed() == ("grafana",)
    spec = watchers.grafana("of-admin", "of-the-ledger")
    assert spec.command[:2] == (str(program), "server")
    assert spec.environment["GF_SECURITY_ADMIN_PASSWORD"] == "of-admin"
    assert spec.environment["GF_SERVER_HTTP_PORT"] == "9080"
    (written,) = Path(spec.environment["GF_PATHS_PROVISIONING"], "datasources").iterdir()
    prometheus, ledger = yaml.safe_load(written.read_text())["datasources"]
    assert (prometheus["url"], ledger["url"]) == ("http://127.0.0.1:9070", "127.0.0.1:9050")
    assert ledger["secureJsonData"] == {"password": "of-the-ledger"}
    assert written.stat().st_mode & 0o077 == 0
    (provider,) = Path(spec.environment["GF_PATHS_PROVISIONING"], "dashboards").iterdir()
    (one,) = yaml.safe_load(provider.read_text())["providers"]
    assert Path(one["options"]["path"]) == dashboards.FOLDER


def test_where_there_is_no_prometheus_a_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stack = Stack(StackOptions(tmp_path / "run", watched=True))
    urls = {name: stack.ports.url(name) for name in SERVICES}
    stack.credentials = {**urls, "keys": {}, "kafka": {"bootstrap": "k"}, "receiver": {"url": "r"}}
    said = StringIO()
    tell(stack, Console(file=said, width=200))
    lines = [line.split(maxsplit=1) for line in said.getvalue().splitlines() if line.strip()]
    assert ["prometheus", "not installed (Debian: apt-get install prometheus)"] in lines
    assert ["grafana", "not installed (https://grafana.com/grafana/download)"] in lines


def test_every_column_that_grafana_may_read_is_named_and_none_is_a_secret() -> None:
    for service in SERVICES:
        grants = (ROOT / "services" / service / "migrations" / "read_only.sql").read_text("utf-8")
        code = "\n".join(line for line in grants.splitlines() if not line.startswith("--"))
        assert not re.search(r"secret|sha256|headers|url|raw_|document|frame|journal|keys", code), service
