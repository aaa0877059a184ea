#!/usr/bin/env bash
# Collects the logs of the last hours of a Linux machine into an archive that GetFile fetches: the journal, what was written
# below /var/log, who was logged in, and the kernel's messages.
#
# usage: linux-logs.sh [--hours N] [--unit UNIT]… [--journal-format FORMAT] [--folder DIR]… [--no-journal] [--max-mb N]
#
#   --hours N                so many hours back (24)
#   --unit UNIT              of the journal only this unit; may be repeated
#   --journal-format FORMAT  short-iso-precise, json or export, as journalctl has them (short-iso-precise)
#   --folder DIR             take files from here in place of /var/log; may be repeated
#   --no-journal             leave the journal out
#   --max-mb N               at most so much from the journal, and so much from files, before compression (1024)
#
# Writes logs-HOST-TIME.tar.gz into $JUMPBAG_FILES (else the working folder), and changes nothing else. Needs bash, coreutils,
# find, tar and gzip; journalctl if there is one. A log file counts when it was written since; it is taken whole.
# Exit code: 0 done, 1 something could not be read or written, 2 wrong usage.
set -euo pipefail
umask 077
export LC_ALL=C TZ=UTC0

# Prints the comment at the top of this file.
usage() {
  local line
  while IFS= read -r line; do
    case $line in
      '#!'*) ;;
      '#'*) line=${line#\#}; printf '%s\n' "${line# }" ;;
      *) break ;;
    esac
  done <"$0"
}

wrong() { printf '%s; --help tells more\n' "$1" >&2; exit 2; }

have() { command -v "$1" >/dev/null 2>&1; }

# What could not be read makes the exit code 1; the first 20 are said.
missed=0
miss() {
  missed=$((missed + 1))
  if ((missed > 20)); then return; fi
  if [[ $1 == *[[:cntrl:]]* ]]; then printf 'could not read: %q\n' "$1" >&2; else printf 'could not read: %s\n' "$1" >&2; fi
}
finish() {
  if ((missed > 20)); then printf '%d things could not be read, of which 20 are named\n' "$missed" >&2; fi
  exit $((missed > 0))
}

# A whole number from $3 to $4, or the end.
whole() {
  if [[ ! $2 =~ ^(0|[1-9][0-9]{0,8})$ ]] || (($2 < $3 || $2 > $4)); then
    wrong "$1 takes a whole number from $3 to $4"
  fi
}
# A folder for what is gathered, beside where the archive will be; it goes when the script ends.
stage() {
  files=${JUMPBAG_FILES:-$PWD}
  if [[ ! -d $files || ! -w $files ]]; then printf 'cannot write into %q\n' "$files" >&2; exit 1; fi
  host=$(uname -n 2>/dev/null || echo host)
  host=${host//[^A-Za-z0-9.-]/_}
  stage=$(mktemp -d "$files/.gathering.XXXXXXXX")
  trap 'rm -rf -- "$stage"' EXIT
  trap 'exit 1' HUP INT TERM
}

# Makes the archive $1 in $JUMPBAG_FILES of what was gathered, and says what it is.
archive() {
  local target=$files/$1 sum
  if [[ -e $target || -L $target ]]; then printf 'there is a file %q already\n' "$target" >&2; exit 1; fi
  if [[ ! -e $stage/all.tar ]]; then tar -C "$stage/out" -cf "$stage/all.tar" .; fi
  gzip "$stage/all.tar"
  sum=$(sha256sum <"$stage/all.tar.gz" 2>/dev/null) || sum=unknown
  mv -- "$stage/all.tar.gz" "$target"
  printf 'archive: %s\nsize: %s\nsha256: %s\n' "$1" "$(stat -c %s -- "$target")" "${sum%% *}"
}
hours=24 format=short-iso-precise journal=yes max=1024
declare -a units=() folders=()
while (($#)); do
  case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
  case $1 in
    -h | --help) usage; exit 0 ;;
    --no-journal) journal=no ;;
    --hours | --unit | --journal-format | --folder | --max-mb)
      if (($# < 2)); then wrong "$1 needs a value"; fi
      case $1 in
        --hours) whole "$1" "$2" 1 87600; hours=$2 ;;
        --unit) if [[ -z $2 ]]; then wrong '--unit takes the name of a unit'; fi; units+=("--unit=$2") ;;
        --journal-format)
          case $2 in short-iso-precise | json | export) format=$2 ;; *) wrong '--journal-format takes short-iso-precise, json or export' ;; esac ;;
        --folder) if [[ ! -d $2 ]]; then wrong "there is no folder \`$2\`"; fi; folders+=("$2") ;;
        --max-mb) whole "$1" "$2" 1 1048576; max=$2 ;;
      esac
      shift ;;
    *) wrong "unknown parameter \`$1\`" ;;
  esac
  shift
done
if ((${#folders[@]} == 0)); then folders=(/var/log); fi
for tool in find tar gzip mktemp stat; do
  if ! have "$tool"; then echo "this script needs \`$tool\`, which is not here" >&2; exit 1; fi
done
stage
mkdir "$stage/out"
printf -v now '%(%s)T' -1
printf -v stamp '%(%Y%m%dT%H%M%SZ)T' "$now"
room=$((max * 1048576))

if [[ $journal == yes ]] && have journalctl; then
  file=$stage/out/journal.$format
  if [[ $format == short* ]]; then file=$stage/out/journal.txt; fi
  journalctl --no-pager --quiet --since="@$((now - hours * 3600))" --output="$format" ${units[@]+"${units[@]}"} \
    2>"$stage/complaints" </dev/null | head -c "$room" >"$file" || :
  if [[ -s $stage/complaints ]]; then
    while IFS= read -r line; do miss "journal: $line"; done <"$stage/complaints"
  fi
  if (($(stat -c %s "$file") >= room)); then miss "the end of the journal: --max-mb is reached"; fi
  if [[ ! -s $file ]]; then rm -f "$file"; echo 'the journal has nothing of that time'; fi
elif [[ $journal == yes ]]; then
  echo 'there is no journalctl here: the archive has no journal'
fi

{ have last && last -F 2>/dev/null | head -n 2000 >"$stage/out/last.txt"; } || :
{ have lastb && lastb -F 2>/dev/null | head -n 2000 >"$stage/out/lastb.txt"; } || :
{ have dmesg && dmesg 2>/dev/null >"$stage/out/dmesg.txt"; } || :
find "$stage/out" -type f -size 0 -exec rm -f -- {} +

# Log files may hold anything as their names. Links stay out, and the journal's own files, which the export stands for.
count=0 taken=0
list() {
  local folder
  for folder in "${folders[@]}"; do
    if [[ $folder != /* ]]; then folder=$PWD/$folder; fi
    find "$folder" -xdev -path /var/log/journal -prune -o -type f -mmin "-$((hours * 60))" -print0 2>>"$stage/unread" || :
  done
}
while IFS= read -r -d '' path; do
  if [[ $path == "$stage"/* ]]; then continue; fi
  if [[ ! -r $path ]]; then miss "$path"; continue; fi
  if ! size=$(stat -c '%b %B' -- "$path" 2>/dev/null); then continue; fi
  size=$((${size% *} * ${size#* }))
  if ((taken + size > room)); then miss "$path: --max-mb is reached"; continue; fi
  taken=$((taken + size)) count=$((count + 1))
  printf '%s\0' "${path#/}" >>"$stage/list"
done < <(list)
while IFS= read -r line; do miss "${line#find: }"; done <"$stage/unread"
tar -C "$stage/out" -cf "$stage/all.tar" .
if ((count > 0)); then
  # Some grow while they are read, which tar says by 1.
  status=0
  tar -C / --sparse --null -T "$stage/list" --transform 's,^,files/,' -rf "$stage/all.tar" 2>"$stage/complaints" || status=$?
  if ((status > 1)); then miss "some log files: $(head -n 3 "$stage/complaints")"; fi
fi
printf '%d log files of the last %d hours, %d bytes\n' "$count" "$hours" "$taken"
archive "logs-$host-$stamp.tar.gz"
finish
