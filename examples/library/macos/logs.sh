#!/bin/sh
# Collects the logs of the last hours of a Mac into an archive that GetFile fetches: the unified log, what was written below
# /var/log and the folders of crash reports, and who was logged in.
#
# usage: macos-logs.sh [--hours N] [--text PREDICATE] [--no-unified] [--max-mb N]
#
#   --hours N         so many hours back (6)
#   --text PREDICATE  in place of the whole unified log as .logarchive, which needs root, what the predicate matches, as JSON
#                     lines: 'process == "sshd"', 'subsystem == "com.apple.TCC"'
#   --no-unified      leave the unified log out
#   --max-mb N        at most so much of the unified log as text, and so much of files, before compression (1024)
#
# Writes logs-HOST-TIME.tar.gz into $JUMPBAG_FILES (else the working folder), and changes nothing else. Needs nothing but what macOS
# brings. The unified log of some hours may have hundreds of megabytes.
# Exit code: 0 done, 1 something could not be read or written, 2 wrong usage.
set -eu
umask 077
export LC_ALL=C TZ=UTC0

# Prints the comment at the top of this file.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

wrong() { printf '%s; --help tells more\n' "$1" >&2; exit 2; }

# A whole number from $3 to $4, or the end.
whole() {
  case $2 in
    '' | *[!0-9]* | 0?* | ??????????*) wrong "$1 takes a whole number from $3 to $4" ;;
  esac
  if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then wrong "$1 takes a whole number from $3 to $4"; fi
}

# What could not be read makes the exit code 1.
missed=0
miss() {
  missed=$((missed + 1))
  printf 'could not read: %s\n' "$1" >&2
}
hours=6 predicate='' unified=yes max=1024
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --no-unified) unified=no ;;
    --hours=*) hours=${1#*=} ;;
    --text=*) predicate=${1#*=} ;;
    --max-mb=*) max=${1#*=} ;;
    --hours | --text | --max-mb)
      if [ $# -lt 2 ]; then wrong "$1 needs a value"; fi
      case $1 in --hours) hours=$2 ;; --text) predicate=$2 ;; --max-mb) max=$2 ;; esac
      shift ;;
    *) wrong "unknown parameter \`$1\`" ;;
  esac
  shift
done
whole --hours "$hours" 1 8760
whole --max-mb "$max" 1 1048576
if [ "$(uname -s 2>/dev/null)" != Darwin ]; then echo 'this script is for macOS' >&2; exit 1; fi
files=${JUMPBAG_FILES:-$PWD}
if [ ! -d "$files" ] || [ ! -w "$files" ]; then printf 'cannot write into %s\n' "$files" >&2; exit 1; fi
host=$(uname -n | tr -c 'A-Za-z0-9.\n-' _)
name=logs-$host-$(date +%Y%m%dT%H%M%SZ).tar.gz
if [ -e "$files/$name" ] || [ -L "$files/$name" ]; then printf 'there is a file %s already\n' "$name" >&2; exit 1; fi
stage=$(mktemp -d "$files/.gathering.XXXXXXXX")
trap 'rm -rf -- "$stage"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$stage/out" "$stage/out/files"

if [ "$unified" = yes ] && [ -n "$predicate" ]; then
  log show --style ndjson --last "${hours}h" --predicate "$predicate" 2>"$stage/complaints" \
    | head -c "$((max * 1048576))" >"$stage/out/unified.ndjson"
  if [ -s "$stage/complaints" ]; then miss "the unified log: $(head -n 1 "$stage/complaints")"; fi
elif [ "$unified" = yes ]; then
  if ! log collect --last "${hours}h" --output "$stage/out/unified.logarchive" >"$stage/complaints" 2>&1; then
    miss "the unified log: $(head -n 1 "$stage/complaints")"
  fi
fi
last 2>/dev/null | head -n 2000 >"$stage/out/last.txt" || :

# Copies, with their folders, what was written since. Names may hold anything, so they go from find to this script as arguments.
# shellcheck disable=SC2016 # for the inner shell
copy='
  stage=$1 room=$2
  shift 2
  for path in "$@"; do
    size=$(stat -f %z "$path" 2>/dev/null) || continue
    taken=$(cat "$stage/taken")
    if [ ! -r "$path" ]; then printf "%s\n" "$path" >>"$stage/unread"; continue; fi
    if [ "$((taken + size))" -gt "$room" ]; then printf "%s: --max-mb is reached\n" "$path" >>"$stage/unread"; continue; fi
    mkdir -p "$stage/out/files${path%/*}" && cp -p "$path" "$stage/out/files$path" || { printf "%s\n" "$path" >>"$stage/unread"; continue; }
    printf "%s" "$((taken + size))" >"$stage/taken"
    echo >>"$stage/copied"
  done'
printf 0 >"$stage/taken"
: >"$stage/copied"
: >"$stage/unread"
for folder in /var/log /Library/Logs /Users/*/Library/Logs/DiagnosticReports /var/audit; do
  if [ ! -d "$folder" ]; then continue; fi
  find "$folder" -xdev -type f -mmin "-$((hours * 60))" -exec sh -c "$copy" copy "$stage" "$((max * 1048576))" {} + 2>"$stage/complaints" || :
  while IFS= read -r line; do miss "$line"; done <"$stage/complaints"
done
while IFS= read -r line; do miss "$line"; done <"$stage/unread"
printf '%d log files of the last %d hours, %d bytes\n' "$(wc -l <"$stage/copied")" "$hours" "$(cat "$stage/taken")"

tar -C "$stage/out" -czf "$stage/archive" .
mv -- "$stage/archive" "$files/$name"
printf 'archive: %s\nsize: %s\nsha256: %s\n' "$name" "$(stat -f %z "$files/$name")" "$(shasum -a 256 <"$files/$name" | cut -d' ' -f1)"
if [ "$missed" -gt 0 ]; then exit 1; fi
