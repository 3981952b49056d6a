#!/bin/sh
# Keeps a worker alive. One worker gives up when its server does not answer for a while: the next one starts by itself.
wait_s=${WORKER_WAIT_S:-5}
trap 'kill -TERM "$running" 2>/dev/null; wait "$running"; exit 0' INT TERM
while true; do
    "${PREFECT:-prefect}" worker start --pool retail-sales --type process --limit 10 "$@" &
    running=$!
    wait "$running"
    echo "the worker has ended: another one starts in $wait_s s" >&2
    sleep "$wait_s" &
    running=$!
    wait "$running"
done
