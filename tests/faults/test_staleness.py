"""`max_config_staleness`: a tenant that would rather have no answers than ones under an old config."""

from __future__ import annotations

import json
from typing import Any

from tests.faults.system import OwnProxy, System, call, manifest, wait_until
from tests.support.sockets import FaultProxy


def strict_tenant(base_url: str) -> dict[str, Any]:
    provider, model = {**manifest(base_url)["providers"][0]}, manifest(base_url)["models"][0]
    return {
        "tenants": [{"name": "strict", "max_config_staleness": "2s"}],
        "providers": [{**provider, "tenant": "strict"}],
        "models": [{**model, "tenant": "strict"}],
        "keys": [{"name": "strict-key", "tenant": "strict", "allow": ["*"]}],
    }


def test_a_config_that_the_disk_did_not_take_is_written_later_and_said(system: System) -> None:
    """Or else a restart without the control plane would serve what is long over, as if it were fresh."""
    (made,) = system.headgate.items("key", "create", "short-lived", "--allow", "*")
    key = made["secret"]
    with FaultProxy(system.grpc_port) as between, OwnProxy(system, "unsaved", between.port) as proxy:
        wait_until(lambda: call(proxy.base_url, key, "quick")[0] == 200)
        kept = proxy.state / "config" / "config.current"
        wait_until(kept.exists)
        obstacle = kept.with_suffix(".new")
        obstacle.mkdir()
        before = kept.read_bytes()
        system.headgate.items("delete", "key", "short-lived")
        wait_until(lambda: call(proxy.base_url, key, "quick")[0] == 401)
        wait_until(lambda: "config_not_saved" in proxy.process.log())
        assert kept.read_bytes() == before
        obstacle.rmdir()
        wait_until(lambda: kept.read_bytes() != before)
        wait_until(lambda: "alarm_over" in proxy.process.log())
        between.set(refuse=True)
        between.reset_all()
        proxy.kill()
        proxy.start()
        assert call(proxy.base_url, key, "quick")[0] == 401
        assert call(proxy.base_url, system.api_key, "quick")[0] == 200
        between.heal()
        system.check(proxy.state)


def test_a_tenant_with_a_bound_is_refused_once_the_config_is_too_old_and_others_are_not(
    system: System,
) -> None:
    file = system.folder / "strict.json"
    file.write_text(json.dumps(strict_tenant(system.provider.base_url)))
    minted = system.folder / "strict-secrets.json"
    system.headgate.items("apply", "-f", str(file), "--source", "strict", "--secrets-out", str(minted))
    strict = json.loads(minted.read_text())["items"][0]["secret"]
    usual = system.headgate.api_key

    def status(key: str) -> int:
        return call(proxy.base_url, key, "quick")[0]

    with FaultProxy(system.grpc_port) as between, OwnProxy(system, "stale", between.port) as proxy:
        wait_until(lambda: status(strict) == 200)
        between.set(refuse=True)
        between.reset_all()
        wait_until(lambda: status(strict) == 503)
        code, body = call(proxy.base_url, strict, "quick")
        assert (code, json.loads(body)["error"]["code"]) == (503, "config_stale")
        assert status(usual) == 200
        assert status("hg-nobody") == 401
        # Nor does a restart make it younger.
        proxy.kill()
        proxy.start()
        assert status(strict) == 503
        assert status(usual) == 200
        between.heal()
        wait_until(lambda: status(strict) == 200)
        system.check(proxy.state)
    file.write_text("{}")
    system.headgate.items("apply", "-f", str(file), "--source", "strict", "--prune")
