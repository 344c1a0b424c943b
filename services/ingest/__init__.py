"""Every producer's way in: what is said is checked, judged and handed to Kafka, or refused with every reason."""
