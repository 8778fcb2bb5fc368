#!/bin/sh
# Is Redis ready? First it reads its users anew when their file is another than the one it has loaded, then it must
# answer an authenticated PING. Passwords come from files and are seen in no argument list.
# Needs nothing but a shell and redis-cli: images of Redis have little else.
set -u
IFS= read -r password < "$FLUID_USERS/probe-password" || [ -n "${password:-}" ] || exit 1

ask() {
    REDISCLI_AUTH=$password redis-cli -p "${FLUID_PORT:-6379}" --user probe "$@" 2> /dev/null
}

# Whoever deletes the Secret has all users made anew, this one as well: then Redis knows it by its last password.
load() {
    [ "$(ask ACL LOAD)" = OK ] && return
    [ -r "$FLUID_STATE/password" ] || return
    new=$password
    IFS= read -r password < "$FLUID_STATE/password"
    answer=$(ask ACL LOAD)
    password=$new
    [ "$answer" = OK ]
}

wanted='' loaded=''
IFS= read -r wanted < "$FLUID_USERS/users.version"
[ ! -r "$FLUID_STATE/loaded" ] || IFS= read -r loaded < "$FLUID_STATE/loaded"
if [ "$wanted" != "$loaded" ] && load; then
    umask 077
    printf '%s\n' "$password" > "$FLUID_STATE/password"
    printf '%s\n' "$wanted" > "$FLUID_STATE/loaded"
fi
[ "$(ask PING)" = PONG ]
