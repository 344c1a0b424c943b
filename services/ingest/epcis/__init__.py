"""GS1 EPCIS 2.0: reads documents, judges them, and tells which events of the catalogue they are. Pure."""
