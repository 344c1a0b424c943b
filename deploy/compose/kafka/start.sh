#!/usr/bin/env bash
# Starts the broker: fills in its settings and the passwords from the secrets, formats the storage if it is new, with the
# one user that must be there before the broker runs, and becomes the broker. Runs in the image of Apache Kafka.
set -euo pipefail
umask 077

home=${KAFKA_HOME:-/opt/kafka}
secrets=${SECRETS:-/run/secrets}
data=${DATA:-/var/lib/kafka/data}
here=$(cd "$(dirname "$0")" && pwd)
settings=$(mktemp -d "${TMPDIR:-/tmp}/kafka-XXXXXX")/server.properties
admin=$(<"$secrets/kafka_admin_password")
controller=$(<"$secrets/kafka_controller_password")

# Passwords are url-safe, so that no character of theirs means anything to sed or to Java.
sed -e "s|@ADMIN_PASSWORD@|$admin|g" -e "s|@CONTROLLER_PASSWORD@|$controller|g" \
    -e "s|@SECRETS@|$secrets|g" -e "s|@DATA@|$data|g" -e "s|@KAFKA_PUBLIC@|${KAFKA_PUBLIC:?}|g" \
    -e "s|@INSIDE_HOST@|${INSIDE_HOST:-kafka}|g" -e "s|@INSIDE_PORT@|${INSIDE_PORT:-9093}|g" \
    -e "s|@PRODUCERS_PORT@|${PRODUCERS_PORT:-9094}|g" -e "s|@CONTROLLER_PORT@|${CONTROLLER_PORT:-9095}|g" \
    "$here/server.properties" >"$settings"

# Nothing is written beside the data: logs go to standard output alone.
export LOG_DIR=${TMPDIR:-/tmp} EXTRA_ARGS="-name kafkaServer"
export KAFKA_LOG4J_OPTS="-Dlog4j2.configurationFile=$here/log4j2.properties"

"$home/bin/kafka-storage.sh" format --ignore-formatted --standalone --config "$settings" \
    --cluster-id "${CLUSTER_ID:-c3VwcGx5LXdhdGNoLTAwMQ}" --add-scram "SCRAM-SHA-256=[name=admin,password=$admin]"
exec "$home/bin/kafka-server-start.sh" "$settings"
