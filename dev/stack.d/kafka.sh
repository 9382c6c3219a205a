# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# Kafka of a stack: one broker that is its own controller. Sourced by dev/stack.
#
# Four listeners: in the clear (KAFKA_PORT), SASL over TLS (KAFKA_SASL_PORT: PLAIN, SCRAM-SHA-256 and -512, one user), TLS that
# asks for the client's certificate (KAFKA_SSL_PORT), and the controller's. The certificates are those of Postgres.

KAFKA_USER=pipectl
# 16 bytes as Kafka spells them; each stack has its own folder, so they may share it.
KAFKA_CLUSTER=cGlwZWN0bC1kZXYtMDAwMQ

kafka_config() { printf '%s\n' "$STATE/kafka/server.properties"; }
kafka_pid() { java_pid kafka "$(kafka_config)"; }

# In PEM, key and certificate in one file.
kafka_write_config() {
    local login=org.apache.kafka.common.security mechanism
    cat "$STATE/tls/server.key" "$STATE/tls/server.crt" >"$STATE/kafka/server.pem"
    cat <<CONFIG
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listeners=PLAIN://127.0.0.1:$KAFKA_PORT,SASL://127.0.0.1:$KAFKA_SASL_PORT,SSL://127.0.0.1:$KAFKA_SSL_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAIN://127.0.0.1:$KAFKA_PORT,SASL://127.0.0.1:$KAFKA_SASL_PORT,SSL://127.0.0.1:$KAFKA_SSL_PORT
listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=$login.plain.PlainLoginModule required user_$KAFKA_USER="$kafka_password";
listener.name.sasl.scram-sha-256.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=$STATE/kafka/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$STATE/tls/ca.crt
log.dirs=$STATE/kafka/data
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=2
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
CONFIG
}

# The user of SCRAM lies in the cluster's metadata, which is made once. The password goes by a file.
kafka_format() { # PLACE
    local java_words
    if [ -s "$STATE/kafka/data/meta.properties" ]; then return; fi
    rm -rf "$STATE/kafka/data"
    (
        umask 077
        printf '%s\n' format --cluster-id "$KAFKA_CLUSTER" --config "$(kafka_config)" \
            --add-scram "SCRAM-SHA-256=[name=$KAFKA_USER,password=$kafka_password]" \
            --add-scram "SCRAM-SHA-512=[name=$KAFKA_USER,password=$kafka_password]" >"$STATE/kafka/format"
    )
    set_java_words kafka "$1" 128m
    # Only the server itself writes an archive of classes.
    if ! "${java_words[@]/-XX:ArchiveClassesAtExit=*/-Xshare:auto}" -cp "$1/libs/*" kafka.tools.StorageTool "@$STATE/kafka/format" \
        >"$STATE/kafka/format.log" 2>&1; then
        tail -n 15 "$STATE/kafka/format.log" >&2
        rm -rf "$STATE/kafka/data" "$STATE/kafka/format"
        die "could not make Kafka's storage in $STATE/kafka/data"
    fi
    rm -f "$STATE/kafka/format" "$STATE/kafka/format.log"
}

kafka_launch() {
    local place port java_words
    for port in "$KAFKA_PORT" "$KAFKA_SASL_PORT" "$KAFKA_SSL_PORT" "$KAFKA_CONTROLLER_PORT"; do
        if port_taken "$port"; then
            die "port $port of 127.0.0.1 is taken, Kafka cannot listen on it" \
                "choose others with KAFKA_PORT, KAFKA_SASL_PORT, KAFKA_SSL_PORT and KAFKA_CONTROLLER_PORT"
        fi
    done
    place=$(maven_packages "$KAFKA_POM") || exit 1
    mkdir -p "$STATE/kafka"
    (umask 077 && kafka_write_config >"$(kafka_config)")
    write_log4j kafka
    kafka_format "$place"
    set_java_words kafka "$place" "${KAFKA_HEAP:-256m}"
    # shellcheck disable=SC2086 # Several words, such as "-XX:TieredStopAtLevel=4 -Xms1g".
    launch "$STATE/kafka.log" "${java_words[@]}" ${KAFKA_JAVA:-} -cp "$place/libs/*" kafka.Kafka "$(kafka_config)"
    printf '%s\n' "$launched_pid" >"$STATE/kafka.pid"
}

# Its port is open before it serves, so it is asked which requests it knows (ApiVersions), and has to answer without an error:
# the length, then the request's number, then the code.
kafka_answers() {
    local answer
    answer=$(
        exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$KAFKA_PORT" || exit 1
        printf '\0\0\0\012\0\022\0\0\0\0\0\052\377\377' >&3
        timeout 5 head -c 10 <&3 | od -An -tx1 | tr -d ' \n'
    ) || return 1
    [ "${answer:8}" = 0000002a0000 ]
}

kafka_up() { java_up kafka; }
kafka_begin() { java_begin kafka; }
kafka_start() { java_start kafka Kafka 60; }
kafka_stop() { java_stop kafka 30 "$(maven_place "$KAFKA_POM")"; }
kafka_kill() { java_kill kafka; }
