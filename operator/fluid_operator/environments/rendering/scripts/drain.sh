#!/bin/sh
# Before Redis stops: wait until no job is running, at most FLUID_LEASES_WAIT seconds, so that workers which stop at the
# same time can say how their jobs ended. A lease that has run out belongs to a worker that is gone and is not waited for.
set -u
IFS= read -r REDISCLI_AUTH < "$FLUID_USERS/probe-password" || [ -n "${REDISCLI_AUTH:-}" ] || exit 0
export REDISCLI_AUTH

ask() {
    redis-cli -p "${FLUID_PORT:-6379}" --user probe "$@" 2> /dev/null
}

# There may be no `sleep` in the image; redis-cli can wait between two commands, and waits after the last one too.
seconds=0
while [ "$seconds" -lt "$FLUID_LEASES_WAIT" ]; do
    now=$(ask TIME)
    held=$(ask ZCOUNT "$FLUID_LEASES_KEY" "(${now%%[!0-9]*}000" +inf)
    case $held in
        [1-9]*) ;;
        *) exit 0 ;;
    esac
    ask -r 1 -i 1 PING > /dev/null || exit 0
    seconds=$((seconds + 1))
done
