#!/usr/bin/env bash
# Takes copies of files of a Linux machine as evidence: what they are, their SHA-256, and their content under a harmless name, in
# an archive that GetFile fetches. Locks a file in place if asked, so that nobody can start or open it, and unlocks it again.
#
# usage: linux-collect-file.sh [--max-mb N] [--lock] [--] FILE…
#        linux-collect-file.sh --unlock MODE [--] FILE…
#
#   --max-mb N     refuse a larger file (2048)
#   --lock         after the copy was verified, take all permissions from the file (mode 000): a program with that mode is
#                  started for nobody, not even root. Processes that run go on. Nothing is deleted.
#   --unlock MODE  give a file the permissions back that --lock said it had: 0755
#
# Writes collected-HOST-TIME.tar.gz into $JUMPBAG_FILES (else the working folder): 1.bin, 2.bin, … and about.txt. Without --lock
# and --unlock it changes nothing else. Links are refused, with what they lead to. Needs bash, coreutils, tar and gzip.
# Exit code: 0 done, 1 a file could not be read, copied or changed, 2 wrong usage.
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
max=2048 lock=no unlock=''
declare -a paths=()
while (($#)); do
  case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
  case $1 in
    -h | --help) usage; exit 0 ;;
    --lock) lock=yes ;;
    --) shift; paths+=("$@"); break ;;
    --max-mb | --unlock)
      if (($# < 2)); then wrong "$1 needs a value"; fi
      case $1 in
        --max-mb) whole "$1" "$2" 1 1048576; max=$2 ;;
        --unlock) if [[ ! $2 =~ ^[0-7]{3,4}$ ]]; then wrong '--unlock takes a mode such as 0755'; fi; unlock=$2 ;;
      esac
      shift ;;
    -*) wrong "unknown parameter \`$1\`" ;;
    *) paths+=("$1") ;;
  esac
  shift
done
if ((${#paths[@]} == 0)); then wrong 'say which files'; fi
for i in "${!paths[@]}"; do
  if [[ ${paths[i]} != /* ]]; then paths[i]=$PWD/${paths[i]#./}; fi
done
if [[ -n $unlock && $lock == yes ]]; then wrong '--lock and --unlock exclude each other'; fi
for tool in tar gzip mktemp stat sha256sum chmod; do
  if ! have "$tool"; then echo "this script needs \`$tool\`, which is not here" >&2; exit 1; fi
done

# Opens the file $1 as 9, so that all that follows is about one file, whatever happens to its name; false with a word why not.
open() {
  if [[ -L $1 ]]; then miss "$1: it is a link to $(readlink -- "$1")"; return 1; fi
  if [[ ! -e $1 ]]; then miss "$1: there is no such file"; return 1; fi
  if [[ ! -f $1 ]]; then miss "$1: it is not a file"; return 1; fi
  if ! { exec 9<"$1"; } 2>/dev/null; then miss "$1"; return 1; fi
  if [[ -L $1 || ! -f /dev/fd/9 || ! $1 -ef /dev/fd/9 ]]; then exec 9<&-; miss "$1: it was replaced meanwhile"; return 1; fi
}

if [[ -n $unlock ]]; then
  for path in "${paths[@]}"; do
    # Who is not root cannot open it without permissions, even as its owner; then the name has to do.
    if ((EUID != 0)) && [[ -f $path && ! -L $path && ! -r $path ]]; then
      if chmod -- "$unlock" "$path" 2>/dev/null; then
        printf 'unlocked: %q has mode %s\n' "$path" "$unlock"
      else
        miss "$path: its mode cannot be changed"
      fi
      continue
    fi
    if ! open "$path"; then continue; fi
    if chmod -- "$unlock" /proc/self/fd/9 2>/dev/null; then
      printf 'unlocked: %q has mode %s\n' "$path" "$unlock"
    else
      miss "$path: its mode cannot be changed"
    fi
    exec 9<&-
  done
  finish
fi

stage
mkdir "$stage/out"

# Copies the open file as number $2; false when that did not come out right.
copy() {
  local about size mode links owner group written changed born sum again
  about=$(stat -L -c '%s %a %h %U:%u %G:%g %Y %Z %W' /dev/fd/9)
  read -r size mode links owner group written changed born <<<"$about"
  if ((size > max * 1048576)); then miss "$1: it has $size bytes, --max-mb allows more"; return 1; fi
  # The position of 9 is moved by who reads it; each of these opens the file anew.
  if ! cat /dev/fd/9 >"$stage/out/$2.bin" 2>/dev/null; then rm -f "$stage/out/$2.bin"; miss "$1"; return 1; fi
  sum=$(sha256sum <"$stage/out/$2.bin")
  again=$(sha256sum </dev/fd/9)
  printf -v written '%(%Y-%m-%dT%H:%M:%SZ)T' "$written"
  printf -v changed '%(%Y-%m-%dT%H:%M:%SZ)T' "$changed"
  if [[ $born =~ ^[1-9][0-9]*$ ]]; then printf -v born '%(%Y-%m-%dT%H:%M:%SZ)T' "$born"; else born=unknown; fi
  {
    printf 'file: %s.bin\npath: %q\nsize: %s\nsha256: %s\n' "$2" "$1" "$size" "${sum%% *}"
    printf 'mode: %s\nowner: %s\ngroup: %s\nhard links: %s\n' "$mode" "$owner" "$group" "$links"
    printf 'written: %s\nchanged: %s\nborn: %s\n' "$written" "$changed" "$born"
    if have getfattr; then getfattr --absolute-names -d -m - -e hex /dev/fd/9 2>/dev/null | grep -v '^#' || :; fi
    if have lsattr; then printf 'attributes: %s\n' "$(lsattr /proc/self/fd/9 2>/dev/null | cut -d' ' -f1 || :)"; fi
    echo
  } | tee -a "$stage/out/about.txt"
  if [[ $sum != "$again" ]]; then miss "$1: it changed while it was copied"; return 1; fi
  if [[ $lock == yes ]]; then
    if chmod 000 /proc/self/fd/9 2>/dev/null; then
      printf 'locked: %q; undo it by: --unlock %s -- %q\n\n' "$1" "$mode" "$1" | tee -a "$stage/out/about.txt"
    else
      miss "$1: its mode cannot be changed"
    fi
  fi
}

number=0
for path in "${paths[@]}"; do
  if ! open "$path"; then continue; fi
  number=$((number + 1))
  copy "$path" "$number" || :
  exec 9<&-
done
if [[ ! -e $stage/out/about.txt ]]; then finish; fi
printf -v stamp '%(%Y%m%dT%H%M%SZ)T' -1
archive "collected-$host-$stamp.tar.gz"
finish
