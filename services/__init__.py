"""The three services: ingest, supply and alerts. They never import one another."""
