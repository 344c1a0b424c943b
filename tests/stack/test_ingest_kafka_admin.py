"""Users of producers on real Kafka: admitted and expelled, over its restart too."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from deploy.local.stack import Stack
from services.ingest.kafka_admin import KafkaAdmin
from services.ingest.settings import IngestSettings

# Java's hash of this string is 0: a map of Java holds it before nearly every other user.
FIRST_IN_A_MAP = "f5a5a608"


async def may_log_in(stack: Stack, username: str, password: str) -> bool:
    client = AIOKafkaAdminClient(
        bootstrap_servers=stack.kafka.bootstrap,
        security_protocol=stack.kafka.coordinates["security_protocol"],
        sasl_mechanism=stack.kafka.coordinates["sasl_mechanism"],
        sasl_plain_username=username,
        sasl_plain_password=password,
    )
    try:
        await client.start()
    except KafkaConnectionError:
        return False
    finally:
        await client.close()
    return True


async def test_expelling_one_user_shuts_out_nobody_else_when_kafka_starts_again(stack: Stack) -> None:
    settings = IngestSettings.load(
        database_url="unused",
        session_secret="unused",
        kafka_bootstrap=stack.kafka.bootstrap,
        kafka_security_protocol=stack.kafka.coordinates["security_protocol"],
        kafka_sasl_mechanism=stack.kafka.coordinates["sasl_mechanism"],
        kafka_password=stack.kafka_password("ingest"),
        kafka_admin_password=stack.kafka_password("ingest-admin"),
        inbound_replication=1,
    )
    admin = KafkaAdmin(settings)
    kept = await admin.admit("expelled-one", "expelled-one.kept")
    gone = await admin.admit("expelled-one", FIRST_IN_A_MAP)
    assert await may_log_in(stack, FIRST_IN_A_MAP, gone)
    for _ in range(2):  # to repeat it is safe
        await admin.expel("expelled-one", FIRST_IN_A_MAP)
    assert not await may_log_in(stack, FIRST_IN_A_MAP, gone)
    # What the broker forgets everybody for is a deleted user; so there must be none.
    operator = stack.kafka.admin_login.client()
    described = operator.describe_user_scram_credentials([FIRST_IN_A_MAP])
    assert isinstance(described, dict)
    assert (await asyncio.to_thread(described[FIRST_IN_A_MAP].result, 10)).user == FIRST_IN_A_MAP

    await asyncio.to_thread(stack.stop_child, "kafka")
    await asyncio.to_thread(stack.start_child, "kafka")
    assert await may_log_in(stack, "expelled-one.kept", kept)
    assert not await may_log_in(stack, FIRST_IN_A_MAP, gone)
