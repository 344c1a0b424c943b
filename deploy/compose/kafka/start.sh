#!/usr/bin/env bash
# Starts the broker: fills in its settings and the passwords from the secrets, formats the storage if it is new, with the
# one user that must be there before the broker runs, and becomes the broker. Runs in the image of Apache Kafka.
set -euo pipefail
umask 077

home=${KAFKA_HOME:-/opt/kafka}
secrets=${SECRETS:-/run/secrets}
data=${DATA:-/var/lib/kafka/data}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/kafka-XXXXXX")
settings=$work/server.properties
admin=$(<"$secrets/kafka_admin_password")

# By the shell itself: what is given to another program can be read in the list of processes.
text=$(<"$here/server.properties")
text=${text//@ADMIN_PASSWORD@/$admin}
text=${text//@CONTROLLER_PASSWORD@/$(<"$secrets/kafka_controller_password")}
text=${text//@SECRETS@/$secrets}
text=${text//@DATA@/$data}
text=${text//@KAFKA_PUBLIC@/${KAFKA_PUBLIC:?}}
text=${text//@INSIDE_HOST@/${INSIDE_HOST:-kafka}}
text=${text//@INSIDE_PORT@/${INSIDE_PORT:-9093}}
text=${text//@PRODUCERS_PORT@/${PRODUCERS_PORT:-9094}}
text=${text//@CONTROLLER_PORT@/${CONTROLLER_PORT:-9095}}
printf '%s\n' "$text" >"$settings"

# Nothing is written beside the data: logs go to standard output alone.
export LOG_DIR=${TMPDIR:-/tmp} EXTRA_ARGS="-name kafkaServer"
export KAFKA_LOG4J_OPTS="-Dlog4j2.configurationFile=$here/log4j2.properties"

# From a file, likewise. What it prints would hold the password's hashes.
cat >"$work/format" <<END
kafka.tools.StorageTool format --ignore-formatted --standalone --config "$settings"
--cluster-id "${CLUSTER_ID:-c3VwcGx5LXdhdGNoLTAwMQ}" --add-scram "SCRAM-SHA-256=[name=admin,password=$admin]"
END
java -Xmx128m -cp "$home/libs/*" "@$work/format" | sed '/^Bootstrap metadata/d'
rm "$work/format"
exec "$home/bin/kafka-server-start.sh" "$settings"
