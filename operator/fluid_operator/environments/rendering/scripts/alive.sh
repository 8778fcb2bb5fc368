#!/bin/sh
# Does Redis answer at all? Without a password it says NOAUTH, also while it loads its data or runs a script: a wrong
# password must not have a Redis killed that is well. One that hangs is found by the time limit of the probe.
set -u
answer=$(redis-cli -p "${FLUID_PORT:-6379}" PING 2>&1)
case $answer in
    '' | 'Could not connect'* | 'Error:'*) exit 1 ;;
esac
exit 0
