#!/bin/sh
# Starts nats-server with nats.conf beside this file, for compose and Kubernetes alike. Flags are passed on.
#
# It reads the very files that the services read as --nats-creds (one line, `user:password`), so the two
# sides cannot disagree, and hands the passwords to nats-server in the environment, as nats.conf expects.
#
#   CREDS_DIR       folder with gateway.creds and room-service.creds (/run/secrets)
#   STORE_DIR       where JetStream keeps its files (/data)
#   NATS_SERVER     the server to start (nats-server, from PATH)
#
# With CLUSTER_PEERS, host:port of every server with commas, it starts cluster.conf instead, as one of them:
#
#   CLUSTER_LISTEN  where the others come in (0.0.0.0:6222)
#   CREDS_DIR       has route.creds too
set -eu

creds_dir=${CREDS_DIR:-/run/secrets}

refuse() {
    echo "start.sh: $1" >&2
    exit 1
}

# Prints the password of user $1, or says what is wrong with its file.
password_of() {
    file=$creds_dir/$1.creds
    [ -r "$file" ] || refuse "cannot read $file, expected one line, $1:password"
    line=
    IFS= read -r line <"$file" || [ -n "$line" ] || refuse "$file is empty, expected one line, $1:password"
    case $line in
        "$1":*) password=${line#*:} ;;
        *) refuse "$file does not begin with $1:, expected one line, $1:password" ;;
    esac
    case $password in
        changeMe*) refuse "$file still holds the example's password: make secrets of your own with deploy/make-secrets" ;;
    esac
    # nats-server reads the value as configuration: a number, a comment sign or nothing at all would make
    # it another password, or none.
    case $password in
        [!a-zA-Z]* | *[!a-zA-Z0-9]*) refuse "$file: the password must be letters and digits, beginning with a letter" ;;
    esac
    [ ${#password} -ge 16 ] || refuse "$file: the password must have at least 16 letters and digits"
    printf %s "$password"
}

GATEWAY_PASSWORD=$(password_of gateway)
ROOM_SERVICE_PASSWORD=$(password_of room-service)
export GATEWAY_PASSWORD ROOM_SERVICE_PASSWORD

config=nats.conf

if [ -n "${CLUSTER_PEERS:-}" ]; then
    config=cluster.conf
    ROUTE_PASSWORD=$(password_of route)
    CLUSTER_LISTEN=${CLUSTER_LISTEN:-0.0.0.0:6222}
    ROUTES=
    rest=$CLUSTER_PEERS,
    while [ -n "$rest" ]; do
        peer=${rest%%,*}
        rest=${rest#*,}
        # It becomes configuration: nothing but a host and a port may stand there.
        case $peer in
            *[!a-zA-Z0-9.:-]* | *:*:* | :* | *:) refuse "CLUSTER_PEERS: $peer is not host:port" ;;
            *:*) ROUTES="$ROUTES\"nats-route://route:$ROUTE_PASSWORD@$peer\", " ;;
            *) refuse "CLUSTER_PEERS: $peer is not host:port" ;;
        esac
    done
    ROUTES="[$ROUTES]"
    export ROUTE_PASSWORD CLUSTER_LISTEN ROUTES
fi

exec "${NATS_SERVER:-nats-server}" -c "${0%/*}/$config" -sd "${STORE_DIR:-/data}" "$@"
