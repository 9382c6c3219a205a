# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# Java, Maven and what they fetch: the servers of `up --kafka`. Sourced by dev/stack and dev/install.

JAVA_WANTED=17
KAFKA_POM="$HERE/kafka/pom.xml"
REGISTRY_POM="$HERE/kafka/registry/pom.xml"

# A Java new enough: the one of JAVA_HOME, of the PATH, or of Debian's folder. Nothing if there is none.
java_path() {
    local candidate major
    for candidate in "${JAVA_HOME:-/}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
        if [ ! -x "$candidate" ]; then continue; fi
        # "17.0.15", and "1.8.0_402" before Java 9.
        major=$("$candidate" -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p')
        if [ "${major:-0}" -ge "$JAVA_WANTED" ]; then
            readlink -f "$candidate"
            return
        fi
    done
}

maven_place() { # POM
    printf '%s/%s-%s\n' "$CACHE" "$(basename "$(dirname "$1")")" "$(cksum <"$1" | tr ' ' -)"
}

maven_is_cached() { [ -e "$(maven_place "$1")/complete" ]; }

# Prints the folder of what a pom asks for; fetches it if it is not there yet. A changed pom gets a place of its own.
maven_packages() { # POM
    local pom=$1 place fresh
    place=$(maven_place "$pom")
    if ! maven_is_cached "$pom"; then
        have mvn || die "mvn is missing: the packages of $pom cannot be fetched" "run dev/install --kafka"
        say "fetching the packages of $pom from Maven Central into $CACHE (once)"
        mkdir -p "$CACHE"
        fresh=$(mktemp -d "$CACHE/.fetch.XXXXXX")
        # Strict: a file whose checksum is not the published one ends it.
        if ! mvn --quiet --batch-mode --strict-checksums --file "$pom" -Dplace="$fresh/place" process-resources \
            </dev/null >"$fresh/mvn.log" 2>&1; then
            tail -n 15 "$fresh/mvn.log" >&2
            rm -rf "$fresh"
            die "could not fetch the packages of $pom with Maven"
        fi
        touch "$fresh/place/complete"
        # Whoever comes second finds the place taken by the same files and throws its own away.
        if [ -e "$place" ] && ! maven_is_cached "$pom"; then mv "$place" "$fresh/broken"; fi
        mv -T "$fresh/place" "$place" 2>/dev/null || maven_is_cached "$pom" || mv "$fresh/place" "$place"
        rm -rf "$fresh"
    fi
    printf '%s\n' "$place"
}

# An archive of loaded classes halves the start of a server. A JVM writes one when it ends, and the first that ended well is
# kept beside the packages, by the Java it belongs to.
class_archive() { # NAME PLACE
    printf '%s/classes-%s/%s.jsa\n' "$2" "$(cksum <"$(dirname "$(dirname "$(java_path)")")/release" | cut -d' ' -f1)" "$1"
}

# Sets java_words: the command up to the main class. C1 alone and the serial collector start fastest and stay smallest.
set_java_words() { # NAME PLACE HEAP
    local java archive
    java=$(java_path)
    [ -n "$java" ] || die "there is no Java $JAVA_WANTED or newer" "run dev/install --kafka"
    archive=$(class_archive "$1" "$2")
    java_words=("$java" -Xms64m "-Xmx$3" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xlog:disable -Xlog:all=error:stderr
        -Djava.net.preferIPv4Stack=true "-Dlog4j2.configurationFile=$STATE/$1/log4j2.properties")
    if [ -s "$archive" ]; then
        java_words+=("-XX:SharedArchiveFile=$archive")
    else
        java_words+=("-XX:ArchiveClassesAtExit=$STATE/$1/classes.jsa")
    fi
}

# After a clean end.
keep_class_archive() { # NAME PLACE
    local archive
    if [ ! -s "$STATE/$1/classes.jsa" ]; then return; fi
    archive=$(class_archive "$1" "$2")
    if [ ! -s "$archive" ]; then
        mkdir -p "$(dirname "$archive")"
        # It may come from another file system.
        mv "$STATE/$1/classes.jsa" "$archive.$$" && mv -f "$archive.$$" "$archive"
    fi
    rm -f "$STATE/$1/classes.jsa"
}

write_log4j() { # NAME
    cat >"$STATE/$1/log4j2.properties" <<'CONFIG'
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS} [%p] %m (%c)%n
logger.debezium.name = io.debezium
logger.debezium.level = info
# Connect is launched together with its broker and tells every try.
logger.network.name = org.apache.kafka.clients.NetworkClient
logger.network.level = error
CONFIG
}

# The pid of a server that was launched with a text of its own on its command line.
java_pid() { # NAME TEXT
    local pid=''
    if [ -r "$STATE/$1.pid" ]; then read -r pid <"$STATE/$1.pid" || true; fi
    if is_ours "$pid" "$2"; then printf '%s\n' "$pid"; fi
}

java_up() { [ -n "$("$1_pid")" ] && "$1_answers"; } # NAME

# It serves, or has ended.
java_settled() { java_up "$1" || [ -z "$("$1_pid")" ]; } # NAME

java_begin() { if [ -z "$("$1_pid")" ]; then "$1_launch"; fi; } # NAME

# Launches a server where nothing did so before, and waits until it serves; fails with its last lines.
java_start() { # NAME WHAT SECONDS
    java_begin "$1"
    if ! wait_until "$3" java_settled "$1" || ! java_up "$1"; then
        tail -n 25 "$STATE/$1.log" >&2 || true
        die "$2 did not start; its last lines are above, its log is $STATE/$1.log"
    fi
}

java_stop() { # NAME SECONDS PLACE
    local pid
    pid=$("$1_pid")
    if [ -n "$pid" ]; then
        kill -TERM "$pid" 2>/dev/null || true
        if wait_until "$2" gone "$pid"; then
            keep_class_archive "$1" "$3"
        else
            say "$1: the clean shutdown took over $2 s, stopping at once"
            java_kill "$1"
        fi
    fi
    rm -f "$STATE/$1.pid"
}

java_kill() { # NAME
    local pid
    pid=$("$1_pid")
    if [ -z "$pid" ]; then return; fi
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 10 gone "$pid" || die "$1 (pid $pid) survived kill -9"
    rm -f "$STATE/$1.pid"
}
