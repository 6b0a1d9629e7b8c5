"""The composition root: the one place where everything is made and put together, started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import psycopg

from control_plane.db.database import Database
from control_plane.db.listen import Listener
from control_plane.db.migrate import migrate
from control_plane.errors import DatabaseAway
from control_plane.experiments.fit import TaskFit
from control_plane.experiments.service import Experiments
from control_plane.experiments.spending import Spending
from control_plane.experiments.steering import Steering
from control_plane.fleet.service import Fleet
from control_plane.identity.model import AuthorityRow
from control_plane.identity.service import Identities
from control_plane.keys.service import Keys
from control_plane.maintenance import Maintenance
from control_plane.minted.model import MintedRow
from control_plane.minted.service import FirstAnswers
from control_plane.ops.metrics import Metrics
from control_plane.plans.replays import Replays
from control_plane.plans.service import Plans
from control_plane.providers.model import ProviderKeyRow
from control_plane.providers.service import ProviderKeys
from control_plane.resources.apply import Applier
from control_plane.resources.rollback import Rollback
from control_plane.resources.service import Resources
from control_plane.revisions.service import Revisions
from control_plane.rollouts.service import Rollouts
from control_plane.rollouts.watch import RolloutWatch
from control_plane.rpc.experiments import ExperimentCalls
from control_plane.rpc.fleet import FleetCalls
from control_plane.rpc.guard import Guard
from control_plane.rpc.health import Health
from control_plane.rpc.history import HistoryCalls
from control_plane.rpc.identity import IdentityCalls
from control_plane.rpc.keys import KeyCalls
from control_plane.rpc.plans import PlanCalls
from control_plane.rpc.proxies_port import ProxiesPort
from control_plane.rpc.quarantine import QuarantineCalls
from control_plane.rpc.reflection import reflection_handlers
from control_plane.rpc.replay import ReplayCalls
from control_plane.rpc.resources import ResourceCalls
from control_plane.rpc.rollouts import RolloutCalls
from control_plane.rpc.sealing import SealingCalls
from control_plane.rpc.server import listen, make_server, service_handlers
from control_plane.rpc.tokens import TokenCalls
from control_plane.rpc.usage import UsageCalls
from control_plane.secrets.errors import CannotOpen, SecretsSealed
from control_plane.secrets.rotation import KekRotation
from control_plane.secrets.vault import Vault
from control_plane.settings import Address, Settings
from control_plane.snapshots.service import Publisher
from control_plane.standings.service import Standings
from control_plane.streams.config import ConfigStreams
from control_plane.streams.usage import UsageStreams
from control_plane.tokens.authenticator import Authenticator
from control_plane.tokens.service import Tokens
from control_plane.usage.ingest import Ingest
from control_plane.usage.tail import Tail
from headgate.rules.catalogue import price_list
from headgate.rules.credentials import Secret

# Everything that holds secrets, and is sealed anew when the key-encryption key is replaced.
SEALED_TABLES = (ProviderKeyRow, MintedRow, AuthorityRow)

log = logging.getLogger(__name__)

# Streams get this long to end after SIGTERM; with the rest the program is gone within five seconds.
GRACE_SECONDS = 1.5
# A database that is starting, or not there yet, is waited for.
DATABASE_WAIT_SECONDS = 0.5
UNSEALED_WAIT_SECONDS = 2.0


class ControlPlane:
    """One replica, with everything it is made of."""

    def __init__(
        self, settings: Settings, url: Secret, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.settings = settings
        self.url = url
        self.database = Database(url)
        self.metrics = Metrics()
        self.vault = Vault(settings.kek_source)
        self.revisions = Revisions()
        self.publisher = Publisher(self.database, self.vault, self.revisions, now)
        # A name that no other replica has; a restarted one is another.
        replica = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self.fleet = Fleet(self.database, replica, now)
        self.standings = Standings(self.database, now)
        self.spending = Spending(self.database, self.publisher.experiments, now)
        self.experiments = Experiments(now)
        self.identities = Identities(self.vault, self.revisions, now)
        self.steering = Steering(self.database, self.revisions, self.experiments, now)
        applier = Applier(self.revisions, ProviderKeys(self.vault, self.revisions), Keys(self.revisions))
        self.rollouts = Rollouts(self.revisions, applier)
        self.rollout_watch = RolloutWatch(
            self.database, self.rollouts, self.fleet, lambda: self.publisher.overlay_problem, now
        )
        self.task_fit = TaskFit(self.database, self.revisions, now)
        self.authenticator = Authenticator(self.database, now)
        self.ingest = Ingest(url, settings.usage_retention_days, now)
        self.tail = Tail(self.database, now)
        self.maintenance = Maintenance(self.database, settings.usage_retention_days, now)
        self.health = Health(lambda: not self.not_ready_because())
        self._now = now
        self._is_serving = False
        self._handlers = self._make_handlers()
        self._server = make_server(self._handlers)
        # Of its own, because ports are added before a server starts, and this one may have to wait for a key.
        self._proxies_server = make_server(self._handlers)
        self._add_gauges()

    def not_ready_because(self) -> str:
        """Empty: ready. A lost database does not count: calls go on, and restarting would not help."""
        return "" if self._is_serving else "starting or stopping"

    def _make_handlers(self) -> list[grpc.GenericRpcHandler]:
        guard = Guard(self.authenticator, self.metrics)
        handlers = service_handlers(guard, self._implementations())
        handlers.append(self.health.handler(guard))
        if self.settings.grpc_reflection:
            handlers.extend(reflection_handlers(guard))
        return handlers

    def _implementations(self) -> dict[str, Callable[..., Any]]:
        database, now = self.database, self._now
        provider_keys, keys = ProviderKeys(self.vault, self.revisions), Keys(self.revisions)
        applier = Applier(self.revisions, provider_keys, keys)
        answers = FirstAnswers(self.vault, self.revisions)
        resource = ResourceCalls(database, Resources(self.revisions), applier, answers, now)
        key = KeyCalls(database, keys, provider_keys, applier, answers, now)
        token = TokenCalls(database, Tokens(self.revisions), answers, now)
        fleet = FleetCalls(database, self.fleet, self.revisions, self.publisher, self.vault, now)
        usage = UsageCalls(database, self.tail, self.settings.usage_retention_days, now)
        plans = Plans(self.publisher, self.standings, lambda: now().timestamp())
        plan = PlanCalls(plans, self.standings)
        identity = IdentityCalls(database, self.identities, answers, self.authenticator.forget)
        history = HistoryCalls(database, self.revisions, Rollback(self.revisions, applier), answers, now)
        quarantine = QuarantineCalls(database, self.ingest, self.revisions, now)
        rollout = RolloutCalls(database, self.rollouts, self.fleet, answers, now)
        sealing = SealingCalls(database, KekRotation(self.vault, self.revisions, SEALED_TABLES), now)
        experiment = ExperimentCalls(database, self.experiments, self.steering)
        return {
            "ApplyResources": resource.apply,
            "GetResource": resource.get,
            "ListResources": resource.list,
            "DeleteResource": resource.delete,
            "SetDisabled": resource.set_disabled,
            "CreateKey": key.create,
            "RotateKey": key.rotate,
            "RevokeKey": key.revoke,
            "SetProviderKey": key.set_provider_key,
            "RemoveProviderKey": key.remove_provider_key,
            "BootstrapToken": token.bootstrap,
            "CreateToken": token.create,
            "RevokeToken": token.revoke,
            "ListTokens": token.list,
            "ListProxies": fleet.list_proxies,
            "AwaitRevision": fleet.await_revision,
            "ListRevisions": fleet.list_revisions,
            "GetStatus": fleet.get_status,
            "QueryUsage": usage.query_usage,
            "ListCalls": usage.list_calls,
            "GetCall": usage.get_call,
            "TailCalls": usage.tail_calls,
            "ExplainRoute": plan.explain_route,
            "ListStandings": plan.list_standings,
            "CreateJoinToken": identity.create,
            "ListJoinTokens": identity.list,
            "RevokeJoinToken": identity.revoke,
            "Join": identity.join,
            "Renew": identity.renew,
            "ListQuarantined": quarantine.list,
            "RetryQuarantined": quarantine.retry,
            "DismissQuarantined": quarantine.dismiss,
            "StartRollout": rollout.start,
            "ListRollouts": rollout.list,
            "PromoteRollout": rollout.promote,
            "HaltRollout": rollout.halt,
            "GetSealing": sealing.get,
            "RotateKek": sealing.rotate,
            "Rollback": history.rollback,
            "ListChanges": history.list_changes,
            "ShowExperiment": experiment.show,
            "ExportExperiment": experiment.export,
            "PromoteExperiment": experiment.promote,
            "StopExperiment": experiment.stop,
            "StartExperiment": experiment.start,
            "ListTaskFit": experiment.list_fit,
            "Replay": ReplayCalls(Replays(database, self.publisher), now).replay,
            "Watch": ConfigStreams(
                self.publisher, self.fleet, self.standings, self.spending, self.authenticator
            ).watch,
            "Report": UsageStreams(self.ingest, self.authenticator).report,
        }

    def _add_gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge("connected_proxies", "Proxies connected here", lambda: self.fleet.connected_count)
        gauge("config_revision", "The published revision", self._revision)
        gauge("sealed", "1: secrets cannot be opened", lambda: float(self.vault.sealed_because is not None))
        gauge("secrets_not_opened", "Tries at secrets that do not open", lambda: self.vault.not_opened_total)
        gauge(
            "unpublished", "1: the newest revision is held back", lambda: float(bool(self.publisher.problem))
        )
        gauge("usage_records", "Usage records taken since the start", lambda: self.ingest.records_total)
        gauge("usage_scores", "Scores of answers taken since the start", lambda: self.ingest.scores_total)
        too_late = "Scores dropped because their calls are past the retention"
        gauge("usage_scores_too_late", too_late, lambda: self.ingest.scores_too_late_total)
        gauge("usage_quarantined", "Usage records set aside", lambda: self.ingest.quarantined_total)
        gauge("usage_transactions", "Transactions of the ingest", lambda: self.ingest.transactions_total)
        gauge("usage_waiting_batches", "Batches that wait", lambda: self.ingest.waiting_batches)

    def _revision(self) -> float:
        return self.publisher.current.version.revision if self.publisher.current else 0

    async def prepare(self) -> None:
        """Schema, key check, partitions, first snapshot. Waits for a database that is not there yet."""
        while True:
            try:
                migrated = await asyncio.to_thread(migrate, self.url)
                if migrated.changed:
                    log.info("migrated")
                if not migrated.has_roles:
                    log.warning(
                        "no roles in the database: row-level security does not hold (docs/operations.md)"
                    )
                self.database.has_roles = self.ingest.has_roles = migrated.has_roles
                await self.database.run(self.vault.check)
                await self.database.run(self.maintenance.keep_up)
                break
            except (DatabaseAway, psycopg.OperationalError) as error:
                log.warning("waiting for the database", extra={"data": {"error": type(error).__name__}})
                await asyncio.sleep(DATABASE_WAIT_SECONDS)
        await self.publisher.refresh()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Address]:
        """Serves inside; the address of the gRPC listener."""
        channels = {
            "headgate_config": self.publisher.wake,
            "headgate_token": self.authenticator.forget,
            "headgate_usage": self.tail.wake,
        }
        port = listen(self._server, self.settings)
        async with asyncio.TaskGroup() as tasks:
            background: list[asyncio.Task[Any]] = [
                tasks.create_task(job)
                for job in (
                    self.publisher.run(),
                    Listener(self.url, channels).run(),
                    self.authenticator.sweep(),
                    self.ingest.run(),
                    self.fleet.run(),
                    self.standings.run(),
                    self.spending.run(),
                    self.steering.run(),
                    self.rollout_watch.run(),
                    self.task_fit.run(),
                    self.maintenance.run(),
                )
            ]
            if not await self._listens_for_proxies():
                background.append(tasks.create_task(self._listen_for_proxies_once_unsealed()))
            # The first model would otherwise wait for the catalogue's import.
            background.append(tasks.create_task(asyncio.to_thread(price_list, "openai", "", "")))
            await self._server.start()
            self._is_serving = True
            try:
                yield Address(self.settings.grpc.host, port)
            finally:
                self._is_serving = False
                await asyncio.gather(
                    *(server.stop(GRACE_SECONDS) for server in (self._server, self._proxies_server))
                )
                for task in background:
                    task.cancel()

    async def _listens_for_proxies(self) -> bool:
        """Sealed, there is no authority to know them by: those that have a token are served all the same."""
        address = self.settings.proxies
        if address is None:
            return True
        try:
            authority = await self.database.run(self.identities.authority)
        except (SecretsSealed, CannotOpen, DatabaseAway) as error:
            log.critical("no listener for proxies", extra={"data": {"reason": str(error)}})
            return False
        self.identities.port = ProxiesPort(authority, self._now).listen(self._proxies_server, address)
        await self._proxies_server.start()
        log.info("proxies", extra={"data": {"host": address.host, "port": self.identities.port}})
        return True

    async def _listen_for_proxies_once_unsealed(self) -> None:
        while True:
            await asyncio.sleep(UNSEALED_WAIT_SECONDS)
            if self.vault.sealed_because is None and await self._listens_for_proxies():
                return

    def close(self) -> None:
        self.database.close()
