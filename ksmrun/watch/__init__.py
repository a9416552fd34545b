"""The per-host monitor: samples, alerts, metrics."""
