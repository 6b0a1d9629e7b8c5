"""The second wall: roles for what the program does, rows that only their tenant sees, a trail that is only
added to."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

# Where a row belongs to one tenant. Not among them: hashes of keys and tokens, which must be unique among
# all.
OF_A_TENANT = (
    "resource",
    "resource_state",
    "provider_key",
    "change",
    "minted",
    "usage_record",
    "usage_hour",
    "score_record",
    "background_day",
)
# What a call by one tenant's token may write; it reads usage, and writes none.
WRITTEN_FOR_TENANTS = (
    *("resource", "resource_state", "provider_key", "credential", "token", "minted", "config_head"),
)
HIDDEN_FROM_TENANTS = ("authority", "join_token", "usage_quarantine", "proxy", "proxy_standing")


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    run(
        """
        CREATE FUNCTION only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          RAISE EXCEPTION 'the audit trail is only ever added to' USING ERRCODE = 'insufficient_privilege';
        END
        $$;
        CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON change
          FOR EACH STATEMENT EXECUTE FUNCTION only_added_to();
        CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON revision
          FOR EACH STATEMENT EXECUTE FUNCTION only_added_to();
        """
    )
    # Roles are the server's, not the database's: another database may have made them, or makes them just now.
    for role in ("headgate_app", "headgate_tenant"):
        run(
            f"""
            DO $$ BEGIN
              IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                CREATE ROLE {role} NOLOGIN;
              END IF;
              IF NOT pg_has_role(session_user, '{role}', 'MEMBER') THEN
                EXECUTE format('GRANT {role} TO %%I', session_user);
              END IF;
            EXCEPTION
              WHEN duplicate_object OR unique_violation THEN NULL;
              WHEN insufficient_privilege THEN RAISE WARNING 'role {role} cannot be made or granted';
            END $$
            """
        )
    for table in OF_A_TENANT:
        run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    run(
        f"""
        DO $$
        DECLARE name text; here text;
        BEGIN
          IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('headgate_app', 'headgate_tenant')) < 2 THEN
            RETURN;
          END IF;
          here := quote_ident(current_schema());
          EXECUTE 'GRANT USAGE ON SCHEMA ' || here || ' TO headgate_app, headgate_tenant';
          EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ' || here || ' TO headgate_app';
          REVOKE UPDATE, DELETE ON change, revision FROM headgate_app;
          EXECUTE 'ALTER DEFAULT PRIVILEGES IN SCHEMA ' || here ||
            ' GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO headgate_app';
          EXECUTE 'GRANT SELECT ON ALL TABLES IN SCHEMA ' || here || ' TO headgate_tenant';
          GRANT INSERT, UPDATE, DELETE ON {", ".join(WRITTEN_FOR_TENANTS)} TO headgate_tenant;
          GRANT INSERT ON change, revision TO headgate_tenant;
          REVOKE ALL ON {", ".join(HIDDEN_FROM_TENANTS)} FROM headgate_tenant;
          FOREACH name IN ARRAY ARRAY[{", ".join(f"'{table}'" for table in OF_A_TENANT)}] LOOP
            EXECUTE format('CREATE POLICY everything ON %%I TO headgate_app USING (true)', name);
            EXECUTE format('CREATE POLICY own ON %%I TO headgate_tenant '
              'USING (tenant = current_setting(''headgate.tenant''))', name);
            EXECUTE format('CREATE POLICY shared ON %%I FOR SELECT TO headgate_tenant '
              'USING (tenant = ''*'')', name);
          END LOOP;
        END $$
        """  # noqa: S608 - names of tables from above
    )
