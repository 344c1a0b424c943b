"""PostgreSQL's roles and schemas: what the embedded stack, compose and Kubernetes set up alike."""
