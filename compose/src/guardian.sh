#!/bin/sh
# Outlives the owner of a stack by as long as it takes to stop the servers.
#
#   guardian.sh OWNER OWNER_STARTED fast|immediate SERVERS [PATH_TO_REMOVE...]
#
# Standard input is the stack's lock: as long as this process lives the data directory is taken,
# so that nobody starts servers on it that this one would then stop. Nothing else may inherit it.
set -u
trap '' HUP INT

owner=$1 owner_started=$2 mode=$3 servers=$4
shift 4

# A recycled process number has another start time; a zombie is as good as gone.
owner_lives() {
    read -r line <"/proc/$owner/stat" || return 1
    # The command name, in parentheses, may hold blanks. After it: the state, and as the 20th word
    # the start time.
    # shellcheck disable=SC2086
    set -- ${line##*) }
    [ "$1" != Z ] && [ "$1" != X ] && [ "${20}" = "$owner_started" ]
}

# Both the command name and one whole argument have to match: never a stranger.
running() {
    for cmdline in $(grep -lsF -e "$servers/" /proc/[0-9]*/cmdline </dev/null); do
        pid=${cmdline#/proc/}
        pid=${pid%/cmdline}
        read -r name <"/proc/$pid/comm" || continue
        case $name in postgres | initdb | nats-server) ;; *) continue ;; esac
        tr '\0' '\n' <"$cmdline" |
            grep -qxF -e "$servers/postgres" -e "$servers/postgres.new" -e "$servers/nats.conf" \
                -e "$servers/nats-1.conf" -e "$servers/nats-2.conf" -e "$servers/nats-3.conf" &&
            echo "$pid"
    done
}

# Whether anybody of the process groups $leaders is left. Their command lines may be gone already.
alive() {
    for stat in /proc/[0-9]*/stat; do
        read -r line <"$stat" || continue
        # shellcheck disable=SC2086
        set -- ${line##*) }
        case $1 in Z | X) continue ;; esac
        case " $leaders " in *" $3 "*) return 0 ;; esac
    done
    return 1
}

# stop POSTGRES_SIGNAL OTHER_SIGNAL TENTHS: whether all are gone within that many tenths of a second.
stop() {
    for pid in $leaders; do
        read -r name <"/proc/$pid/comm" || name=gone
        case $name in
        postgres) kill -s "$1" -- "-$pid" ;;
        nats-server) kill -s "$2" -- "-$pid" ;;
        # It works through servers that do not name our directory and that end, cleaned up, when
        # their input does: killed in the last step only.
        initdb) kill -s KILL "$pid" ;;
        # The kernel does not give a number to a stranger while a group goes by it.
        gone) [ "$1" = KILL ] && kill -s KILL -- "-$pid" ;;
        esac
    done
    tenths=$3
    while alive; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1 </dev/null
    done
}

while owner_lives; do
    sleep 0.2 </dev/null
done

leaders=$(running | tr '\n' ' ')
case $mode in
fast) stop INT TERM 30 || stop QUIT KILL 20 || stop KILL KILL 10 ;;
*) stop QUIT KILL 20 || stop KILL KILL 10 ;;
esac

for tries in 1 2 3 4 5; do
    [ "$#" -gt 0 ] || break
    rm -rf -- "$@" </dev/null && break
    sleep 0.1 </dev/null
done
