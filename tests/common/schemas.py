"""Schemas of the documents that ksmrun prints or keeps. Scripts and later versions know them.

Written out here, and not taken from ksmrun, so that none changes unnoticed.
"""

from __future__ import annotations

# Printed.
AB, ATTACH, CHECK = "ksmrun-ab-1", "ksmrun-attach-1", "ksmrun-check-1"
ESTIMATE, EXPLAIN, HOST = "ksmrun-estimate-1", "ksmrun-explain-1", "ksmrun-host-2"
PROBE, PS, REPORT = "ksmrun-probe-1", "ksmrun-ps-1", "ksmrun-report-1"
STATUS, TOP, TUNE = "ksmrun-status-1", "ksmrun-top-1", "ksmrun-tune-1"
TRUST, TRUST_PLAN = "ksmrun-trust-1", "ksmrun-trust-plan-1"
WRAP_IMAGE, WRAP_LIST = "ksmrun-wrap-image-1", "ksmrun-wrap-list-1"
WRAP_UNIT = "ksmrun-wrap-unit-1"
# Kept.
ALERTS, ATTACHED, LAYOUT = "ksmrun-alerts-1", "ksmrun-attached-1", "ksmrun-layout-1"
LAYOUT_KEYS, PEAKS, RECORD = "ksmrun-layout-keys-1", "ksmrun-peaks-1", "ksmrun-record-1"
SCHEMAS = {text for name, text in globals().items() if name.isupper()}
