"""The time series: points of what happened in rooms and at terminals, and their rollups.

`port` says what a store is; `stores.open_store` makes one from an address. Stores: DuckDB (embedded), InfluxDB 2
(production), memory (tests). Everything here can be rebuilt from the journal.
"""
