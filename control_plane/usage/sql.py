"""The SQL of the ingest, written out because it is what the money hangs on.

Lock order, the same in every transaction: records by (time, id), then roll-ups by their key. A record's
row is locked before any roll-up's because the roll-up needs all new records first. Without the ORDER
BYs two writers that meet the same rows in different orders deadlock (measured: 226 sorted batches/s,
0.7 unsorted).
"""

from __future__ import annotations

from control_plane.usage.histogram import bounds_sql
from control_plane.usage.records import STAGING_COLUMNS

STAGING = """
CREATE TEMP TABLE IF NOT EXISTS staging (
  ordinal integer, ms bigint, id uuid, request_id uuid, content_hash uuid, attempt_number integer,
  outcome smallint, reason smallint, status integer, client_status integer, cache smallint,
  stream boolean, final boolean, estimated boolean, variant_by_request boolean,
  outside_variant boolean, purpose smallint, started_ms bigint, latency_ms bigint,
  first_token_ms bigint, request_latency_ms bigint, input_tokens bigint, cache_read_tokens bigint,
  cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, audio_input_tokens bigint,
  output_tokens bigint, reasoning_tokens bigint, audio_output_tokens bigint, cost_picousd bigint,
  metadata jsonb, tenant text, key text, route text, model text, provider text, upstream_model text,
  provider_key text, region text, user_name text, session text, task text, operation text,
  upstream_request_id text, price_version text, service_tier text, experiment text, variant text,
  proxy text
) ON COMMIT DELETE ROWS
"""

COPY = f"COPY staging ({', '.join(STAGING_COLUMNS)}) FROM STDIN"

_RECORD_COLUMNS = tuple(name for name in STAGING_COLUMNS if name not in ("ordinal", "ms"))
# The record's time, from its id. The same milliseconds always give the same timestamp.
_TIME = "to_timestamp(ms::float8 / 1000)"

# A client's request: counted on its final attempt, and not what was made beside it in the background.
# An error is a status of 400 or more, or an
# answer that was not complete (outcome 1 is OK).
IS_CALL = "(final AND purpose = 0)"
IS_ERROR = "(final AND (client_status >= 400 OR outcome <> 1))"
# How long it took is known of what was seen to end: not of outcome 6 (UNKNOWN), whose proxy died under way.
HAS_ENDED = "(final AND outcome <> 6)"
IS_TIMED = f"({HAS_ENDED} AND purpose = 0)"
# As the client saw it: the first token of the attempt that answered, from the request's start.
FIRST_TOKEN_MS = "(started_ms + first_token_ms)"  # noqa: S105 - no password

LATENCY_BUCKETS = f"""hist_of(array_agg(width_bucket(request_latency_ms::float8, {bounds_sql()}))
    FILTER (WHERE {IS_TIMED}))"""
FIRST_TOKEN_BUCKETS = f"""hist_of(array_agg(width_bucket({FIRST_TOKEN_MS}::float8, {bounds_sql()}))
    FILTER (WHERE {IS_CALL} AND first_token_ms IS NOT NULL))"""

SUMS = f"""
    count(*) FILTER (WHERE {IS_CALL}) AS calls,
    count(*) AS attempts,
    count(*) FILTER (WHERE {IS_ERROR} AND purpose = 0) AS errors,
    sum(input_tokens)::bigint AS input_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens,
    sum(cache_write_5m_tokens + cache_write_1h_tokens)::bigint AS cache_write_tokens,
    sum(output_tokens)::bigint AS output_tokens,
    sum(reasoning_tokens)::bigint AS reasoning_tokens,
    sum(cost_picousd::numeric) AS cost_picousd,
    count(*) FILTER (WHERE cost_picousd IS NULL) AS unpriced_attempts"""

ROLLUP_KEY = "hour, tenant, key, route, model, provider, task, region, purpose"
_ADDED = (
    "calls",
    "attempts",
    "errors",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unpriced_attempts",
)

MERGE = f"""
WITH fresh AS (
  INSERT INTO usage_record (time, {", ".join(_RECORD_COLUMNS)})
  SELECT {_TIME}, {", ".join(_RECORD_COLUMNS)} FROM staging ORDER BY ms, id, ordinal
  ON CONFLICT (time, id) DO NOTHING
  RETURNING time, tenant, key, route, model, provider, task, region, purpose, final, client_status, outcome,
    request_latency_ms, started_ms, first_token_ms, input_tokens, cache_read_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, cost_picousd,
    experiment, variant
), sums AS (
  SELECT date_trunc('hour', time, 'UTC') AS hour, tenant, key, route, model, provider, task, region,
    purpose, {SUMS},
    coalesce({LATENCY_BUCKETS}, '{{}}') AS latency_histogram,
    coalesce({FIRST_TOKEN_BUCKETS}, '{{}}') AS first_token_histogram
  FROM fresh GROUP BY {ROLLUP_KEY}
), rolled AS (
  INSERT INTO usage_hour AS old ({ROLLUP_KEY}, calls, attempts, errors, input_tokens, cache_read_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, cost_picousd, unpriced_attempts,
    latency_histogram, first_token_histogram)
  SELECT * FROM sums ORDER BY {ROLLUP_KEY}
  ON CONFLICT ({ROLLUP_KEY}) DO UPDATE SET
    {", ".join(f"{name} = old.{name} + excluded.{name}" for name in _ADDED)},
    cost_picousd = CASE WHEN old.cost_picousd IS NULL THEN excluded.cost_picousd
      ELSE old.cost_picousd + coalesce(excluded.cost_picousd, 0) END,
    latency_histogram = hist_add(old.latency_histogram, excluded.latency_histogram),
    first_token_histogram = hist_add(old.first_token_histogram, excluded.first_token_histogram)
), aside AS (
  INSERT INTO background_day AS old (day, tenant, experiment, variant, cost_picousd)
  SELECT (time AT TIME ZONE 'UTC')::date, tenant, experiment, CASE purpose WHEN 2 THEN variant ELSE '' END,
    sum(cost_picousd::numeric)
  FROM fresh WHERE purpose <> 0 AND experiment <> '' AND cost_picousd > 0
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (day, tenant, experiment, variant) DO UPDATE
    SET cost_picousd = old.cost_picousd + excluded.cost_picousd
)
SELECT attempts FROM sums
"""  # noqa: S608 - constants

# What of the staged rows is in the table now, and whether it got there in this transaction. Asked only
# when not everything was new.
STANDING = f"""
SELECT s.ordinal, s.id::text, r.content_hash = s.content_hash, r.xmin = pg_current_xact_id()::xid
FROM staging s JOIN usage_record r ON r.time = {_TIME.replace("ms", "s.ms")} AND r.id = s.id
ORDER BY s.ordinal
"""  # noqa: S608 - constants
NOTIFY = "SELECT pg_notify('headgate_usage', '')"
