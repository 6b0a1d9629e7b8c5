"""PostgreSQL's own checks behind the program's: a tenant's rows, a trail that is only added to (P10, A11)."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import Session

from control_plane.db.migrate import Migrated, migrate
from control_plane.db.roles import scoped
from control_plane.tokens.model import Principal
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, history_pb2
from tests.integration.control_plane.records import make_record
from tests.integration.control_plane.replica import Replica, make, query, refused
from tests.integration.control_plane.test_cp_ingest import reporter

# Hashes only, and unique among all tenants.
WITHOUT_ROWS_OF_THEIR_OWN = {"credential", "token"}
THEIRS = [
    make("tenant", name="acme"),
    make("tenant", name="evil"),
    *(make("key", name="k", tenant=tenant) for tenant in ("acme", "evil", "*")),
    *(make("provider", name="p", tenant=tenant, type="openai", keys=["sk-x"]) for tenant in ("acme", "evil")),
]


async def test_a_query_that_forgets_its_tenant_still_sees_only_that_tenants_rows(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*THEIRS, request_id="r")
        stream = await reporter(replica)
        await stream.report([make_record(tenant=tenant) for tenant in ("acme", "evil", "evil")])
        inside = replica.control_plane.database
        tables = ("resource", "provider_key", "change", "minted", "usage_record", "usage_hour")

        def tenants(session: Session) -> dict[str, set[str]]:
            run = session.connection().execute
            return {table: {row[0] for row in run(text(f"SELECT tenant FROM {table}"))} for table in tables}

        everybody = await inside.run(tenants)
        assert all({"acme", "evil"} <= everybody[table] for table in tables if table != "minted")
        with scoped("acme"):
            seen = await inside.read(tenants)
        expected = {table: {"acme"} for table in tables}
        assert seen == expected | {"resource": {"acme", "*"}, "change": {"acme", "*"}, "minted": set()}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE resource SET source = 'x' WHERE tenant = 'evil'",
        "DELETE FROM provider_key WHERE tenant = 'evil'",
        "DELETE FROM resource WHERE tenant = '*'",
    ],
)
async def test_what_belongs_to_others_is_not_there_to_be_changed(database: Secret, statement: str) -> None:
    async with Replica.running(database) as replica:
        await (await replica.owner()).apply(*THEIRS)

        def changed(session: Session) -> int:
            return int(session.connection().execute(text(statement)).rowcount)

        with scoped("nobody"):
            assert await replica.control_plane.database.run(changed) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE resource SET tenant = 'evil' WHERE tenant = 'acme' AND kind = 'key'",
        "INSERT INTO usage_hour SELECT * FROM usage_hour",
        "SELECT raw FROM usage_quarantine",
        "SELECT sealed FROM authority",
        "SELECT * FROM join_token",
        "UPDATE change SET actor = 'somebody'",
    ],
)
async def test_what_a_tenants_call_never_does_is_refused(database: Secret, statement: str) -> None:
    async with Replica.running(database) as replica:
        await (await replica.owner()).apply(*THEIRS)

        def work(session: Session) -> None:
            session.connection().execute(text(statement))

        with scoped("acme"), pytest.raises(ProgrammingError):
            await replica.control_plane.database.run(work)


async def test_a_check_that_is_missing_in_the_program_shows_nothing_of_others(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*THEIRS)
        acme = replica.client(await replica.token("editor", tenant="acme"))
        monkeypatch.setattr(Principal, "sees", lambda self, tenant: True)
        get = admin_pb2.GetResourceRequest(kind="key", tenant="evil", name="k")
        assert (await refused(acme.call("GetResource", get)))[0] == "NOT_FOUND"
        trail = await acme.call("ListChanges", history_pb2.ListChangesRequest(tenant="evil"))
        assert list(trail.changes) == []
        revoke = admin_pb2.RevokeKeyRequest(tenant="evil", name="k")
        assert (await refused(acme.call("RevokeKey", revoke)))[0] == "NOT_FOUND"


async def test_nobody_changes_the_audit_trail(database: Secret) -> None:
    async with Replica.running(database) as replica:
        await (await replica.owner()).apply(*THEIRS)
        inside = replica.control_plane.database
        for table in ("change", "revision"):
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET revision = revision"):

                def work(session: Session, statement: str = statement) -> None:
                    session.connection().execute(text(statement))

                with pytest.raises(ProgrammingError, match="permission denied"):
                    await inside.run(work)
    with psycopg.connect(database.text) as connection:  # not even whoever owns the tables
        for statement in ("DELETE FROM change", "UPDATE revision SET actor = 'x'", "TRUNCATE change"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added to"):
                connection.execute(statement)
            connection.rollback()


async def test_the_program_connects_as_a_role_that_owns_nothing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        who = text("SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)")
        run = replica.control_plane.database.run
        assert await run(lambda session: tuple(session.connection().execute(who).one())) == (
            "headgate_app",
            False,
        )
        stream = await reporter(replica)
        assert await stream.report([make_record()]) == (1, 0, 0)
        owned = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE rolname LIKE %s"
        assert query(database, owned + " AND relkind = 'r' AND relpersistence = 'p'", "headgate%") == [(0,)]


def test_every_table_with_a_tenant_is_behind_the_wall(database: Secret) -> None:
    without = query(
        database,
        "SELECT relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE attname = 'tenant' AND relkind IN ('r', 'p') AND NOT relispartition AND NOT relrowsecurity",
    )
    assert {row[0] for row in without} == WITHOUT_ROWS_OF_THEIR_OWN
    policies = query(database, "SELECT tablename, count(*) FROM pg_policies GROUP BY 1")
    assert {count for _, count in policies} == {3}
    bare = query(
        database,
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
        "AND relnamespace = current_schema()::regnamespace "
        "AND NOT has_table_privilege('headgate_app', oid, 'SELECT')",
    )
    assert bare == []


async def test_an_owner_that_may_make_no_roles_serves_without_the_second_wall(database: Secret) -> None:
    parts = conninfo_to_dict(database.text)
    name = f"{parts['dbname']}_plain"
    with psycopg.connect(database.text, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN".encode())
        connection.execute(f"CREATE DATABASE {name} OWNER {name}".encode())
    try:
        url = Secret(make_conninfo("", **{**parts, "dbname": name, "user": name}))
        assert migrate(url) == Migrated(changed=True, has_roles=False)
        async with Replica.running(url) as replica:
            owner = await replica.owner()
            await owner.apply(*THEIRS)
            acme = replica.client(await replica.token("editor", tenant="acme"))
            get = admin_pb2.GetResourceRequest(kind="key", tenant="evil", name="k")
            assert (await refused(acme.call("GetResource", get)))[0] == "NOT_FOUND"
            assert await (await reporter(replica)).report([make_record()]) == (1, 0, 0)
        with psycopg.connect(url.text) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM change")
    finally:
        with psycopg.connect(database.text, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            connection.execute(f"DROP ROLE {name}".encode())


async def test_a_version_that_finds_a_later_schema_serves_all_the_same(database: Secret) -> None:
    """The version before goes on, and can be gone back to, while a new one is rolled out."""
    query(database, "UPDATE alembic_version SET version_num = '9999'")
    assert migrate(database) == Migrated(changed=False, has_roles=True)
    async with Replica.running(database) as replica:
        await (await replica.owner()).apply(*THEIRS)
