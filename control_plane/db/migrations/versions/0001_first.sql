-- Config. A resource's spec is what manifests write, as rendered values, without secrets; state is
-- apart, so that apply, prune and rollback cannot touch it.

CREATE TABLE resource (
  tenant text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  spec jsonb NOT NULL,
  source text NOT NULL,
  revision bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, kind, name)
);
CREATE INDEX resource_source ON resource (source);
CREATE INDEX resource_kind ON resource (kind, tenant, name);

CREATE TABLE resource_state (
  tenant text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  disabled boolean NOT NULL,
  reason text NOT NULL,
  actor text NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, kind, name)
);

-- origin: 'spec' (from a manifest) or 'state' (from set-key, which overrides). sealed NULL: removed.
CREATE TABLE provider_key (
  tenant text NOT NULL,
  provider text NOT NULL,
  name text NOT NULL,
  origin text NOT NULL CHECK (origin IN ('spec', 'state')),
  sealed bytea,
  version bigint NOT NULL,
  actor text NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, provider, name, origin)
);

-- origin: 'minted', or 'spec' (a hash taken over from a manifest). detached: of a key that was deleted;
-- kept so that no file can bring it back.
CREATE TABLE credential (
  sha256 bytea PRIMARY KEY CHECK (length(sha256) = 32),
  tenant text NOT NULL,
  key_name text NOT NULL,
  public_id text NOT NULL,
  origin text NOT NULL CHECK (origin IN ('minted', 'spec')),
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  detached boolean NOT NULL DEFAULT false
);
CREATE INDEX credential_key ON credential (tenant, key_name);

-- Rows are never deleted: bootstrap is open only while there has never been one.
CREATE TABLE token (
  public_id text PRIMARY KEY,
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'editor', 'viewer', 'proxy')),
  tenant text,
  sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz
);
CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked_at IS NULL;

-- A single row. Every config transaction locks it first, so revisions commit in their order. The
-- epoch tells a restored database from the one it was taken of.
CREATE TABLE config_head (
  id integer PRIMARY KEY CHECK (id = 1),
  epoch bigint NOT NULL,
  revision bigint NOT NULL
);
INSERT INTO config_head VALUES (1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0);

CREATE TABLE revision (
  revision bigint PRIMARY KEY,
  time timestamptz NOT NULL,
  actor text NOT NULL,
  source text NOT NULL
);

-- The audit trail, and what replicas build their next snapshot from. No secrets.
CREATE TABLE change (
  revision bigint NOT NULL REFERENCES revision,
  seq integer NOT NULL,
  tenant text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  verb text NOT NULL,
  before jsonb,
  after jsonb,
  PRIMARY KEY (revision, seq)
);
CREATE INDEX change_resource ON change (tenant, kind, name, revision);

-- First answers of calls that mint something, sealed; kept for ten minutes.
CREATE TABLE minted (
  request_id text NOT NULL,
  actor text NOT NULL,
  method text NOT NULL,
  sealed bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (request_id, actor)
);

-- What the right key-encryption key opens; another one does not.
CREATE TABLE kek_check (
  id integer PRIMARY KEY CHECK (id = 1),
  sealed bytea NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE proxy (
  name text PRIMARY KEY,
  region text NOT NULL,
  labels jsonb NOT NULL,
  software_version text NOT NULL,
  replica text NOT NULL,
  connected boolean NOT NULL,
  epoch bigint NOT NULL,
  revision bigint NOT NULL,
  stale_since timestamptz,
  last_nack text NOT NULL,
  nack_epoch bigint NOT NULL,
  nack_revision bigint NOT NULL,
  spool_bytes bigint NOT NULL,
  usage_lag_seconds double precision NOT NULL,
  last_seen timestamptz NOT NULL
);

-- Usage. A record's time is the one inside its UUIDv7, so a replay lands in the same partition and
-- the primary key deduplicates it.

CREATE TABLE usage_record (
  time timestamptz NOT NULL,
  id uuid NOT NULL,
  request_id uuid NOT NULL,
  attempt_number integer NOT NULL,
  tenant text NOT NULL,
  key text NOT NULL,
  route text NOT NULL,
  model text NOT NULL,
  provider text NOT NULL,
  upstream_model text NOT NULL,
  provider_key text NOT NULL,
  region text NOT NULL,
  user_name text NOT NULL,
  session text NOT NULL,
  task text NOT NULL,
  metadata jsonb,
  operation text NOT NULL,
  stream boolean NOT NULL,
  outcome smallint NOT NULL,
  reason smallint NOT NULL,
  status integer NOT NULL,
  upstream_request_id text NOT NULL,
  final boolean NOT NULL,
  client_status integer NOT NULL,
  started_ms bigint NOT NULL,
  latency_ms bigint NOT NULL,
  first_token_ms bigint,
  request_latency_ms bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cache_read_tokens bigint NOT NULL,
  cache_write_5m_tokens bigint NOT NULL,
  cache_write_1h_tokens bigint NOT NULL,
  audio_input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  audio_output_tokens bigint NOT NULL,
  estimated boolean NOT NULL,
  cost_picousd bigint,
  price_version text NOT NULL,
  service_tier text NOT NULL,
  cache smallint NOT NULL,
  experiment text NOT NULL,
  variant text NOT NULL,
  proxy text NOT NULL,
  content_hash uuid NOT NULL,
  ingested_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (time, id)
) PARTITION BY RANGE (time);
CREATE TABLE usage_record_default PARTITION OF usage_record DEFAULT;
CREATE INDEX usage_record_request ON usage_record (request_id);
CREATE INDEX usage_record_tenant ON usage_record (tenant, time);
-- For TailCalls. Rows arrive in this order, so block ranges suffice, and cost the ingest next to nothing.
CREATE INDEX usage_record_ingested ON usage_record USING brin (ingested_at) WITH (pages_per_range = 16);

-- Sums of records are exact: numeric, because a year of pico-dollars outgrows a bigint.
CREATE TABLE usage_hour (
  hour timestamptz NOT NULL,
  tenant text NOT NULL,
  key text NOT NULL,
  route text NOT NULL,
  model text NOT NULL,
  provider text NOT NULL,
  task text NOT NULL,
  region text NOT NULL,
  calls bigint NOT NULL,
  attempts bigint NOT NULL,
  errors bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cache_read_tokens bigint NOT NULL,
  cache_write_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  cost_picousd numeric,
  unpriced_attempts bigint NOT NULL,
  latency_histogram bigint[] NOT NULL,
  first_token_histogram bigint[] NOT NULL,
  PRIMARY KEY (hour, tenant, key, route, model, provider, task, region)
) WITH (fillfactor = 70); -- room for updates in place: the same few rows change with every batch

CREATE TABLE usage_quarantine (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  proxy text NOT NULL,
  content_hash uuid NOT NULL,
  record_id uuid,
  why text NOT NULL,
  raw bytea NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (proxy, content_hash)
);

-- Histograms are arrays of counts over the buckets of control_plane/usage/histogram.py, trimmed on
-- the right; hist_of counts an array of bucket numbers (from 0), hist_add adds two histograms.
CREATE FUNCTION hist_of(buckets integer[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(coalesce(c.n, 0) ORDER BY i), '{}')
  FROM generate_series(0, (SELECT max(b) FROM unnest(buckets) b)) i
  LEFT JOIN (SELECT b, count(*) AS n FROM unnest(buckets) b WHERE b IS NOT NULL GROUP BY b) c ON c.b = i
$$;

CREATE FUNCTION hist_add(one bigint[], other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY i), '{}')
  FROM unnest(one, other) WITH ORDINALITY AS t(a, b, i)
$$;

CREATE AGGREGATE hist_sum(bigint[]) (SFUNC = hist_add, STYPE = bigint[], INITCOND = '{}');
