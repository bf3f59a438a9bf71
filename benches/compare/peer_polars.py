"""The checks of peer_csv.py in Polars: peer_polars.py FILE

One pass over the file, all cores. Repeated ids and requests are counted, not named.
"""

import sys

import polars as pl

TYPES = ["enroll", "duplicate", "offlineunblock", "onlineupdate", "renew", "recover", "recoveronbehalf", "reinstate", "retire",
         "revoke", "temporarycards", "unblock"]
GUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

kind, target, template = (pl.col(name) for name in ("kind", "target", "template"))
manifest = pl.scan_csv(sys.argv[1], infer_schema=False).select(
    "id",
    pl.col("type").str.to_lowercase().alias("kind"),
    pl.col("target").str.to_lowercase(),
    pl.col("profiletemplateuuid").str.to_lowercase().alias("template"),
    pl.col("priority"),
)
priority = pl.col("priority")
is_good = (
    kind.is_in(TYPES)
    & target.str.contains(GUID)
    & pl.when(template.is_null()).then(kind != "enroll").otherwise(template.str.contains(GUID))
    & (priority.is_null() | priority.cast(pl.Int64, strict=False).is_between(0, 255).fill_null(False))
).fill_null(False)
good = manifest.filter(is_good)
counts = pl.collect_all([
    manifest.select(pl.len()),
    good.select(pl.len(), pl.col("id").count().alias("ids"), pl.col("id").drop_nulls().n_unique().alias("unique_ids"),
                pl.struct("kind", "target", "template").n_unique().alias("requests")),
], engine="streaming")
n_rows = counts[0].item()
n_good, n_ids, n_unique_ids, n_requests = counts[1].row(0)
print(n_rows - n_good + n_ids - n_unique_ids + n_good - n_requests)
