#!/usr/bin/env bash
# Creates the database of every service in fleet.toml; one that exists already is skipped.
# POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER and POSTGRES_PASSWORD choose the server. Without POSTGRES_HOST, only the
# server that `scripts/infra up` started is used, never another one on that port.
set -uo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/scripts/arguments"
no_arguments "$@"
"$root/scripts/setup" || exit
bin="$root/.venv/bin"
export PGHOST="${POSTGRES_HOST:-localhost}" PGPORT="${POSTGRES_PORT:-5432}" PGUSER="${POSTGRES_USER:-postgres}"
export PGPASSWORD="${POSTGRES_PASSWORD:-${PGPASSWORD:-postgres}}" PGCONNECT_TIMEOUT=5

green='' yellow='' red='' plain=''
if [ -n "${FORCE_COLOR:-}" ] || { [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; }; then
  green=$'\e[32m' yellow=$'\e[33m' red=$'\e[31m' plain=$'\e[0m'
fi

ask() { "$bin/psql" --no-psqlrc --no-password --tuples-only --no-align --dbname "$1" --command "$2"; }

if ! said="$(ask postgres 'SELECT 1' 2>&1)"; then
  printf '%s\n' "${red}PostgreSQL on $PGHOST:$PGPORT cannot be used:${plain} $said" \
    "Start ours with ./scripts/infra up, or name yours: export POSTGRES_HOST=... POSTGRES_PASSWORD=..." >&2
  exit 3
fi
# Process, folder and time of start of the server are in a file of its data folder.
lock="${RMBRAIN_STATE_DIR:-$root/.rmbrain}/postgres/data/postmaster.pid"
ours="$(head -n 3 "$lock" 2>/dev/null)"
if [ -z "${POSTGRES_HOST:-}" ] && { [ -z "$ours" ] \
  || [ "$(ask postgres "SELECT pg_read_file('postmaster.pid')" 2>/dev/null | head -n 3)" != "$ours" ]; }; then
  printf '%s\n' "${red}The PostgreSQL on $PGHOST:$PGPORT was not started by ./scripts/infra up, so nothing is created on it.${plain}" \
    "To use it all the same, name it: export POSTGRES_HOST=$PGHOST; to run ours beside it: export POSTGRES_PORT=$((PGPORT + 1))" >&2
  exit 3
fi

catalog="$(cd "$root" && "$bin/python" -m scripts.infrastructure.catalog)" || exit
created=0 existing=0 failed=0
while read -r service database _; do
  if [ "$(ask postgres "SELECT 1 FROM pg_database WHERE datname = '$database'")" = 1 ]; then
    existing=$((existing + 1))
    printf '%s\n' "  ${yellow}exists ${plain} $database ($service)"
  elif said="$("$bin/createdb" --no-password "$database" 2>&1)"; then
    created=$((created + 1))
    printf '%s\n' "  ${green}created${plain} $database ($service)"
  else
    failed=$((failed + 1))
    printf '%s\n' "  ${red}failed ${plain} $database ($service): $said" >&2
  fi
done <<< "$catalog"

# From now on each database belongs to the role of its service, as far as roles can be made there.
(cd "$root" && "$bin/python" -m scripts.infrastructure.give_databases) || failed=$((failed + 1))

printf '%s\n' "On $PGHOST:$PGPORT: ${green}$created created${plain}, ${yellow}$existing there already${plain}, ${red}$failed failed${plain}."
[ "$failed" -eq 0 ] && [ $((created + existing)) -gt 0 ]
