"""EPCIS 2.0 capture: jobs, what became of each event, and what ingest learns from them."""
