"""What proxies learn, through the control plane: to their region, over replicas, to whoever may ask."""

from __future__ import annotations

import asyncio

from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, config_pb2, routing_pb2
from tests.integration.control_plane.replica import Client, Replica, make, refused
from tests.integration.control_plane.scripted_proxy import ScriptedProxy

WITHIN_SECONDS = 20.0


def standings(*providers: tuple[str, str]) -> config_pb2.Standings:
    message = config_pb2.Standings()
    for tenant, provider in providers:
        one = message.standings.add(tenant=tenant, provider=provider, upstream_model="m")
        one.speeds.add(age_seconds=1, first_token_seconds=0.25, measurements=9)
        one.circuits.add(key="default", state=config_pb2.CIRCUIT_STATE_OPEN, open_seconds=60)
        one.lengths.add(output_tokens=5, answers=9)
        one.lengths.add(route="theirs", output_tokens=5, answers=9)
    return message


async def connect(replica: Replica, name: str, region: str) -> ScriptedProxy:
    proxy = ScriptedProxy(replica.client(await replica.proxy_token()), name=name, region=region)
    await proxy.hello()
    await proxy.accept()
    return proxy


async def listed(client: Client, count: int) -> list[routing_pb2.ProxyStandings]:
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            answer = await client.call("ListStandings", routing_pb2.ListStandingsRequest())
            if len(answer.proxies) >= count:
                return list(answer.proxies)
            await asyncio.sleep(0.1)


async def test_what_one_proxy_measures_its_region_learns_and_others_do_not(database: Secret) -> None:
    async with Replica.running(database) as replica:
        await replica.owner()
        one = await connect(replica, "one", "eu")
        two = await connect(replica, "two", "eu")
        far = await connect(replica, "far", "us")
        await one.learned(standings(("default", "p")))
        async with asyncio.timeout(WITHIN_SECONDS):
            heard = await two.hears()
        assert [standing.provider for standing in heard.standings] == ["p"]
        assert 1 <= heard.standings[0].speeds[0].age_seconds < WITHIN_SECONDS
        assert await far.is_quiet(5.0)


async def test_every_replica_knows_what_any_was_told(database: Secret) -> None:
    async with Replica.running(database) as replica, Replica.running(database) as other:
        owner = await replica.owner()
        one = await connect(replica, "one", "eu")
        await one.learned(standings(("default", "p")))
        elsewhere = other.client(replica.owner_token)
        (view,) = await listed(elsewhere, 1)
        assert (view.proxy, view.region) == ("one", "eu")
        assert view.standings.standings[0].speeds[0].first_token_seconds == 0.25
        assert 0 < view.standings.standings[0].circuits[0].open_seconds < 60
        await owner.apply(
            make("provider", name="p", type="openai", keys=["sk-1"]),
            make("model", name="m", provider="p", price={"input": 1, "output": 1}),
            make("model", name="n", provider="p", price={"input": 9, "output": 9}),
            make("route", name="r", policy={"fallback": ["m", "n"]}),
        )
        request = routing_pb2.ExplainRouteRequest(model="r", region="eu")
        async with asyncio.timeout(WITHIN_SECONDS):
            while True:
                code = ""
                try:
                    explained = await elsewhere.call("ExplainRoute", request)
                    break
                except Exception as error:
                    code = str(error)
                    assert "there is no route" in code, code  # this replica is a moment behind
                    await asyncio.sleep(0.1)
        assert explained.chosen == "n"
        last = explained.candidates[1]
        assert (last.model, last.reason, last.first_token_ms) == ("m", "circuit_open", 250)


async def test_a_tenant_sees_its_own_providers_and_the_shared_ones(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(make("tenant", name="acme"))
        token = await owner.call(
            "CreateToken",
            admin_pb2.CreateTokenRequest(name="v", role="viewer", tenant="acme", request_id="1"),
        )
        viewer = replica.client(token.minted.secret)
        one = await connect(replica, "one", "eu")
        await one.learned(standings(("default", "p"), ("acme", "q"), ("*", "s")))
        (view,) = await listed(viewer, 1)
        assert view.proxy == "", "who runs what is not a tenant's to know"
        assert [standing.provider for standing in view.standings.standings] == ["q", "s"]
        own, shared = view.standings.standings
        assert [length.route for length in own.lengths] == ["", "theirs"]
        assert [length.route for length in shared.lengths] == [""], "other tenants' routes are not shown"
        code, _ = await refused(
            viewer.call("ExplainRoute", routing_pb2.ExplainRouteRequest(tenant="default"))
        )
        assert code == "NOT_FOUND"


async def test_a_request_that_cannot_be_is_refused_by_field(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        for field, value in (("needs", ["wings"]), ("max_cost_usd", "much"), ("input_tokens", 2**40)):
            request = routing_pb2.ExplainRouteRequest(model="r", **{field: value})  # type: ignore[arg-type]
            code, message = await refused(owner.call("ExplainRoute", request))
            assert code == "INVALID_ARGUMENT"
            assert field in message
