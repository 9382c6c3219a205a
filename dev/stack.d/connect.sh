# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# Kafka Connect of a stack, with Debezium's connector for Postgres; and the schema registry. Sourced by dev/stack.
#
# A connector's configuration need not hold the password of Postgres. This worker fills in both of
#     ${env:POSTGRES_PASSWORD}    ${file:<the file PIPECTL_CONNECT_SECRETS names>:postgres_password}

connect_config() { printf '%s\n' "$STATE/connect/worker.properties"; }
connect_secrets() { printf '%s\n' "$STATE/connect/secrets/secrets.properties"; }
connect_pid() { java_pid connect "$(connect_config)"; }

connect_write_config() { # FOLDERS OF PLUGINS, WAY TO FIND THEM
    local topic
    cat <<CONFIG
bootstrap.servers=127.0.0.1:$KAFKA_PORT
group.id=pipectl-connect
listeners=http://127.0.0.1:$CONNECT_PORT
rest.advertised.host.name=127.0.0.1
rest.advertised.port=$CONNECT_PORT
plugin.path=$1
plugin.discovery=$2
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.flush.interval.ms=1000
scheduled.rebalance.max.delay.ms=0
task.shutdown.graceful.timeout.ms=3000
topic.creation.enable=true
connector.client.config.override.policy=All
config.providers=env,file
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.env.param.allowlist.pattern=POSTGRES_PASSWORD
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.file.param.allowed.paths=$STATE/connect/secrets
CONFIG
    for topic in config offset status; do
        printf '%s.storage.topic=_connect_%s\n%s.storage.replication.factor=1\n' "$topic" "$topic" "$topic"
    done
    printf '%s.storage.partitions=1\n' offset status
}

connect_has_converter() { grep -q '^plugin.discovery=hybrid' "$(connect_config)" 2>/dev/null; }

connect_launch() {
    local place registry plugins discovery=service_load java_words
    if port_taken "$CONNECT_PORT"; then
        die "port $CONNECT_PORT of 127.0.0.1 is taken, Kafka Connect cannot listen on it" "choose another with CONNECT_PORT"
    fi
    place=$(maven_packages "$KAFKA_POM") || exit 1
    plugins="$place/plugins"
    if [ "$with_registry" = yes ]; then
        registry=$(maven_packages "$REGISTRY_POM") || exit 1
        # Apicurio's converter does not announce itself.
        plugins="$plugins,$registry/plugins" discovery=hybrid_warn
    fi
    mkdir -p "$STATE/connect/secrets"
    (
        umask 077
        connect_write_config "$plugins" "$discovery" >"$(connect_config)"
        printf 'postgres_password=%s\n' "$pg_password" >"$(connect_secrets)"
    )
    write_log4j connect
    set_java_words connect "$place" "${CONNECT_HEAP:-384m}"
    # shellcheck disable=SC2086 # Several words, such as "-XX:TieredStopAtLevel=4 -Xms1g".
    POSTGRES_PASSWORD=$pg_password launch "$STATE/connect.log" "${java_words[@]}" ${CONNECT_JAVA:-} -cp "$place/libs/*" \
        org.apache.kafka.connect.cli.ConnectDistributed "$(connect_config)"
    printf '%s\n' "$launched_pid" >"$STATE/connect.pid"
}

# Its own word that it has joined its group and takes connectors.
connect_answers() { curl -sS --fail --max-time 10 --noproxy '*' -o /dev/null "http://127.0.0.1:$CONNECT_PORT/health" 2>/dev/null; }
connect_up() { java_up connect; }
connect_begin() { java_begin connect; }
connect_start() { java_start connect "Kafka Connect" 90; }
connect_stop() { java_stop connect 30 "$(maven_place "$KAFKA_POM")"; }
connect_kill() { java_kill connect; }

# In memory, as the package comes: what it knows goes with it.
registry_pid() { java_pid registry "$STATE/registry/"; }

registry_launch() {
    local place jar java_words
    if port_taken "$REGISTRY_PORT"; then
        die "port $REGISTRY_PORT of 127.0.0.1 is taken, the registry cannot listen on it" "choose another with REGISTRY_PORT"
    fi
    place=$(maven_packages "$REGISTRY_POM") || exit 1
    jar=$(find "$place/registry" -maxdepth 2 -name '*-runner.jar' | head -n 1)
    [ -n "$jar" ] || die "there is no -runner.jar in $place/registry"
    mkdir -p "$STATE/registry"
    write_log4j registry
    set_java_words registry "$place" "${REGISTRY_HEAP:-256m}"
    launch "$STATE/registry.log" "${java_words[@]}" "-Djava.io.tmpdir=$STATE/registry" -Dquarkus.http.host=127.0.0.1 \
        "-Dquarkus.http.port=$REGISTRY_PORT" -jar "$jar"
    printf '%s\n' "$launched_pid" >"$STATE/registry.pid"
}

registry_answers() {
    curl -sS --fail --max-time 10 --noproxy '*' -o /dev/null "http://127.0.0.1:$REGISTRY_PORT/apis/registry/v2/system/info" 2>/dev/null
}
registry_up() { java_up registry; }
registry_begin() { java_begin registry; }
registry_start() { java_start registry "the schema registry" 90; }
registry_stop() { java_stop registry 15 "$(maven_place "$REGISTRY_POM")"; }
registry_kill() { java_kill registry; }
