#!/bin/sh
# Brings a new version of a service into use: a canary, a gate at each step, all users; back at once if it is worse.
#
#   deploy.sh TENANT/SERVICE ADDRESS:PORT[,ADDRESS:PORT...]
#
# The new version runs at these addresses already. Where weir is: WEIR_SOCKET, or WEIR_ADMIN and WEIR_TOKEN. What may be set besides:
#   DEPLOY_ID       what this deploy is called; run again with the same one, it joins what is under way
#   STEPS, EVERY    shares of users in percent, and the time between two of them
#   MAX_ERROR_RATE, MAX_P99, MIN_SAMPLES   the gate: against the old version over the same time, and never on too few requests
#   HEALTHY_WITHIN  for all backends of the new version; TIMEOUT for everything
#
# The exit status is that of `weir deploy`: 0 done, 1 refused or failed, 2 wrong usage, 3 timed out, 4 conflict, 5 rolled back. Whenever it
# is not 0, the old version serves. Needs jq.
set -eu

if [ $# -ne 2 ]; then
	echo "usage: deploy.sh TENANT/SERVICE ADDRESS:PORT[,ADDRESS:PORT...]" >&2
	exit 2
fi
service=$1
backends=$2
id=${DEPLOY_ID:-$(date -u +%Y%m%dT%H%M%SZ)}

# The pool of the deploy of this name, if it has begun; else the one that has no users.
pool=$(weir deploy "$service" --status --json 2>/dev/null | jq -er --arg id "$id" 'select(.key == $id).pool') ||
	pool=$(weir weights "$service" --json | jq -er '[.pools | to_entries[] | select(.value.effective_weight == 0)][0].key') || {
		echo "deploy.sh: every pool of $service has users; is another deploy under way? weir status $service" >&2
		exit 1
	}

# Who ends this script ends the deploy too: nobody would watch it.
trap 'weir deploy "$service" --abort --reason "the pipeline was stopped" || true; exit 1' INT TERM HUP

echo "$service: $id goes to $pool at $backends"
status=0
weir deploy "$service" --pool "$pool" --backends "$backends" --id "$id" --reason "$id" \
	--healthy-within "${HEALTHY_WITHIN:-2m}" --shift "${STEPS:-1,5,25,50,100}" --every "${EVERY:-60s}" \
	--max-error-rate "${MAX_ERROR_RATE:-1%}" --max-p99 "${MAX_P99:-1.5x}" --min-samples "${MIN_SAMPLES:-200}" \
	--timeout "${TIMEOUT:-1h}" --drain || status=$?

case $status in
0)
	echo "$service: $pool serves"
	;;
3)
	# Unless it has failed by itself it would go on, unwatched.
	weir deploy "$service" --abort --reason "$id took longer than ${TIMEOUT:-1h}" || true
	;;
esac
if [ "$status" -ne 0 ]; then
	echo "$service: $id does not serve (exit status $status). What has happened:"
	weir deploy "$service" --status || true
	weir status "$service" || true
	weir why --tenant "${service%%/*}" --limit 5 || true
fi
exit "$status"
