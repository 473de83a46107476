#!/usr/bin/env bash
# Runs one migration command over every service of fleet.toml that owns a database, one after the other:
#   ./scripts/run_alembic_migrations.sh upgrade head | current | downgrade -1 | history
# The same engine, lock and journal as everything else (`migration-sidecar`); POSTGRES_HOST, _PORT, _USER, _PASSWORD count.
set -uo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
else
  bold='' red='' green='' yellow='' plain=''
fi

# Help that the user asked for goes to standard output, with exit code 0.
help() {
  cat <<'USAGE'
Usage: ./scripts/run_alembic_migrations.sh [--keep-going] COMMAND
  upgrade head     apply everything that is missing
  downgrade -1     take back the last revision of every service, the last service first
  current          the revision of each database
  history          the revisions of each service
An upgrade or downgrade stops at the first service that fails, and the rest is skipped;
with --keep-going the others are tried as well. Exit code: 0, or that of the first failure
(1 the migration failed, 2 bad input, 3 cannot reach, 4 a person is needed).
USAGE
  exit 0
}

refuse() {
  printf 'Usage: ./scripts/run_alembic_migrations.sh [--keep-going] COMMAND, which "%s" is not: see --help.\n' "$*" >&2
  exit 2
}

for each in "$@"; do
  case "$each" in -h | --help) help ;; esac
done

keep_going=no
if [ "${1:-}" = --keep-going ]; then keep_going=yes; shift; fi
case "${1:-}:$#" in
  upgrade:2 | downgrade:2) command=("$1" "$2") ;;
  current:1) command=(status) keep_going=yes ;;
  history:1) command=(history) keep_going=yes ;;
  *) refuse "$@" ;;
esac

"$root/scripts/setup" || exit 3

# One line per service, in the order of fleet.toml: name, database, folder.
services="$(cd "$root" && .venv/bin/python -m scripts.infrastructure.catalog)" || exit 2
# A service migrates after those it depends on, and the audit first of all: downgrade in reverse order.
if [ "$1" = downgrade ]; then services="$(tac <<< "$services")"; fi

# One DATABASE_URL cannot be right for nine databases.
unset DATABASE_URL

report=() first_failure=0 done_count=0
while read -r name database folder; do
  if [ "$first_failure" != 0 ] && [ "$keep_going" = no ]; then
    report+=("$(printf '  %sskipped%s  %-18s %s' "$yellow" "$plain" "$name" "$database")")
    continue
  fi
  printf '%s== %s (%s): %s%s\n' "$bold" "$name" "$database" "$*" "$plain"
  started=$SECONDS
  "$root/.venv/bin/migration-sidecar" "${command[@]}" --config "$root/$folder/alembic.ini" < /dev/null
  code=$?
  if [ "$code" = 130 ]; then echo "Interrupted; every database is at a whole revision." >&2; exit 130; fi
  if [ "$code" = 0 ]; then
    done_count=$((done_count + 1))
    report+=("$(printf '  %sdone%s     %-18s %-18s %d s' "$green" "$plain" "$name" "$database" $((SECONDS - started)))")
  else
    [ "$first_failure" != 0 ] || first_failure=$code
    report+=("$(printf '  %sfailed%s   %-18s %-18s exit code %d' "$red" "$plain" "$name" "$database" "$code")")
  fi
done <<< "$services"

printf '\n%sReport: %s%s\n' "$bold" "$*" "$plain"
printf '%s\n' "${report[@]}"
if [ "$first_failure" = 0 ]; then
  printf '%s%d of %d services done%s\n' "$green" "$done_count" "${#report[@]}" "$plain"
else
  advice='correct it and run the same command again'
  # A relative target such as -1 would move again the databases that are done already.
  case "$1:$2" in *:[-+]*) advice="\"$*\" again would move those that are done once more" ;; esac
  printf '%s%d of %d services done; see the first failure above; %s%s\n' \
    "$red" "$done_count" "${#report[@]}" "$advice" "$plain" >&2
fi
exit "$first_failure"
