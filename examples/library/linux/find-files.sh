#!/usr/bin/env bash
# Finds files on a Linux machine: by SHA-256, by name, by when they were changed, by whether they can be run.
#
# usage: linux-find-files.sh [--sha256 HEX]… [--sha256-list FILE] [--name GLOB]… [--changed-within HOURS] [--executable]
#                            [--setuid] [--hash] [--max-mb N] [--limit N] [--seconds N] [--all-filesystems] [--json] [--] [FOLDER…]
#
#   --sha256 HEX            files with this content; may be repeated
#   --sha256-list FILE      the same, from a file with one a line (more words on the line are a remark); a relative path
#                           begins at the folder that PutFile fills
#   --name GLOB             files with such a name, without regard to case: '*.php'; may be repeated
#   --changed-within HOURS  content, owner, mode or name changed since
#   --executable            somebody may run it
#   --setuid                runs as its owner or group
#   --hash                  says the SHA-256 of all that is found
#   --max-mb N              larger files are not hashed (256); they are not found by --sha256
#   --limit N               stop after so many (1000)
#   --seconds N             stop after so long (300)
#   --all-filesystems       also what is mounted below the folders; never /proc and /sys
#   FOLDER…                 where to look (/home /root /tmp /var/tmp /var/www /dev/shm /opt /usr/local /srv)
#
# All that is said must hold; at least one thing must be said. Changes nothing. Needs bash, coreutils and find.
# Exit code: 0 done, found or not; 1 something could not be read, or the time was over; 2 wrong usage.
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
# REPLY becomes $1 as a JSON string. Bytes that are not UTF-8 become U+FFFD.
json() {
  local s=$1 out='' c n m i j need point
  if [[ $s != *[!\ -~]* && $s != *[\"\\]* ]]; then REPLY=\"$s\"; return; fi
  for ((i = 0; i < ${#s}; i++)); do
    c=${s:i:1}
    case $c in
      [\"\\]) out+=\\$c; continue ;;
      [\ -~]) out+=$c; continue ;;
    esac
    printf -v n %d "'$c"
    n=$((n & 255)) need=0 point=0
    if ((n < 128)); then printf -v c '\\u%04x' "$n"; out+=$c; continue; fi
    if ((n >= 194 && n < 224)); then need=1 point=$((n & 31))
    elif ((n >= 224 && n < 240)); then need=2 point=$((n & 15))
    elif ((n >= 240 && n < 245)); then need=3 point=$((n & 7)); fi
    for ((j = 1; j <= need; j++)); do
      m=0
      if ((i + j < ${#s})); then printf -v m %d "'${s:i+j:1}"; fi
      if (((m & 192) != 128)); then break; fi
      point=$((point << 6 | m & 63))
    done
    if ((need == 0 || j <= need || (need == 2 && (point < 2048 || (point >= 55296 && point < 57344))) \
      || (need == 3 && (point < 65536 || point > 1114111)))); then
      out+='\ufffd'
    else
      out+=${s:i:need+1}
      i=$((i + need))
    fi
  done
  REPLY=\"$out\"
}

# One thing found: emit KIND KEY VALUE KEY VALUE…, where a KEY that ends in # has a number. A line of JSON, or of KEY=VALUE
# without the empty ones, quoted as a shell would where they have control characters.
emit() {
  local out key
  if [[ $as_json == yes ]]; then
    out="{\"kind\":\"$1\""
  else
    out=$1
  fi
  shift
  while (($# > 1)); do
    key=${1%#}
    if [[ $as_json == yes ]]; then
      if [[ $1 == *'#' ]]; then REPLY=${2:-null}; elif [[ -z $2 ]]; then REPLY=null; else json "$2"; fi
      out+=",\"$key\":$REPLY"
    elif [[ -n $2 ]]; then
      REPLY=$2
      if [[ $2 == *[[:cntrl:]]* ]]; then printf -v REPLY %q "$2"; fi
      out+="  $key=$REPLY"
    fi
    shift 2
  done
  if [[ $as_json == yes ]]; then out+='}'; fi
  printf '%s\n' "$out"
}
declare -A wanted=()
declare -a names=() folders=() tests=()
hours='' hash=no max=256 limit=1000 seconds=300 one_system=yes as_json=no

want() {
  local sum=${1,,}
  if [[ ! $sum =~ ^[0-9a-f]{64}$ ]]; then wrong "\`$1\` is no SHA-256: it takes 64 hexadecimal digits"; fi
  wanted[$sum]=yes
}
want_list() {
  local word
  if [[ ! -r $1 || -d $1 ]]; then wrong "the list \`$1\` cannot be read"; fi
  while read -r word _ || [[ -n $word ]]; do
    word=${word%$'\r'}
    case $word in '' | '#'*) ;; *) want "$word" ;; esac
  done <"$1"
}

while (($#)); do
  case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
  case $1 in
    -h | --help) usage; exit 0 ;;
    --executable) tests+=('(' -perm -100 -o -perm -010 -o -perm -001 ')') ;;
    --setuid) tests+=('(' -perm -4000 -o -perm -2000 ')') ;;
    --hash) hash=yes ;;
    --all-filesystems) one_system=no ;;
    --json) as_json=yes ;;
    --) shift; folders+=("$@"); break ;;
    --sha256 | --sha256-list | --name | --changed-within | --max-mb | --limit | --seconds)
      if (($# < 2)); then wrong "$1 needs a value"; fi
      case $1 in
        --sha256) want "$2" ;;
        --sha256-list) want_list "$2" ;;
        --name) if [[ -z $2 ]]; then wrong '--name takes a name'; fi; names+=("$2") ;;
        --changed-within) whole "$1" "$2" 1 876000; hours=$2 ;;
        --max-mb) whole "$1" "$2" 1 1048576; max=$2 ;;
        --limit) whole "$1" "$2" 1 1000000; limit=$2 ;;
        --seconds) whole "$1" "$2" 1 86400; seconds=$2 ;;
      esac
      shift ;;
    -*) wrong "unknown parameter \`$1\`" ;;
    *) folders+=("$1") ;;
  esac
  shift
done
if [[ -n $hours ]]; then tests+=('(' -mmin "-$((hours * 60))" -o -cmin "-$((hours * 60))" ')'); fi
if ((${#names[@]})); then
  tests+=('(' -iname "${names[0]}")
  for name in "${names[@]:1}"; do tests+=(-o -iname "$name"); done
  tests+=(')')
fi
if ((${#tests[@]} == 0 && ${#wanted[@]} == 0)); then
  wrong 'say what to look for: --sha256, --sha256-list, --name, --changed-within, --executable or --setuid'
fi
# Sizes are in bytes here; find counts other units up.
if ((${#wanted[@]})); then tests+=(-size "-$((max * 1048576 + 1))c"); fi
if ((${#folders[@]} == 0)); then
  for folder in /home /root /tmp /var/tmp /var/www /dev/shm /opt /usr/local /srv; do
    if [[ -d $folder ]]; then folders+=("$folder"); fi
  done
fi
for i in "${!folders[@]}"; do
  folder=${folders[i]}
  if [[ ! -e $folder ]]; then wrong "there is no folder \`$folder\`"; fi
  # A name that begins with a dash is no option of find.
  if [[ $folder != /* ]]; then folders[i]=./$folder; fi
done
for tool in find stat sha256sum; do
  if ! have "$tool"; then echo "this script needs \`$tool\`, which is not here" >&2; exit 1; fi
done

complaints=$(mktemp)
trap 'rm -f -- "$complaints"' EXIT
trap 'exit 1' HUP INT TERM

# REPLY becomes the SHA-256 of the file $1, empty when it cannot be read.
sum_of() {
  REPLY=''
  if REPLY=$(sha256sum 2>/dev/null <"$1"); then REPLY=${REPLY%% *}; elif [[ -e $1 ]]; then miss "$1"; fi
} 2>/dev/null

found=0
tell() {
  local path=$1 sum=$2 about size mode owner written changed
  if ! about=$(stat -c '%s %a %U %Y %Z' -- "$path" 2>/dev/null); then return 0; fi
  read -r size mode owner written changed <<<"$about"
  if [[ $hash == yes && -z $sum ]] && ((size <= max * 1048576)); then sum_of "$path"; sum=$REPLY; fi
  printf -v written '%(%Y-%m-%dT%H:%M:%SZ)T' "$written"
  printf -v changed '%(%Y-%m-%dT%H:%M:%SZ)T' "$changed"
  emit file path "$path" size# "$size" mode "$mode" owner "$owner" written "$written" changed "$changed" sha256 "$sum"
  found=$((found + 1))
  if ((found >= limit)); then
    printf 'stopped after %d files: --limit allows more\n' "$found" >&2
    stopped=yes
  fi
}

# Looks at the files of a batch: all are hashed by one process, and each once more only if one of them is wanted.
declare -a batch=()
look() {
  local line hit=no path
  while IFS= read -r line; do
    line=${line#\\}
    if [[ -n ${wanted[${line:0:64}]:-} ]]; then hit=yes; fi
  done < <(sha256sum -- "${batch[@]}" 2>/dev/null || :)
  for path in "${batch[@]}"; do
    if [[ $hit == yes && $stopped == no ]]; then
      sum_of "$path"
      if [[ -n $REPLY && -n ${wanted[$REPLY]:-} ]]; then tell "$path" "$REPLY"; fi
    elif [[ ! -r $path && -e $path ]]; then
      miss "$path"
    fi
  done
  batch=()
}

search() {
  local -a command=(find)
  if have timeout; then command=(timeout "$seconds" find); fi
  command+=("${folders[@]}")
  if [[ $one_system == yes ]]; then command+=(-xdev); fi
  command+=('(' -path /proc -o -path /sys ')' -prune -o -type f)
  if ((${#tests[@]})); then command+=("${tests[@]}"); fi
  "${command[@]}" -print0 2>"$complaints" || :
}

stopped=no
while [[ $stopped == no ]]; do
  left=$((seconds - SECONDS))
  if ((left <= 0)) || ! IFS= read -r -d '' -t "$left" path; then break; fi
  if ((${#wanted[@]} == 0)); then
    tell "$path" ''
  else
    batch+=("$path")
    if ((${#batch[@]} == 64)); then look; fi
  fi
done < <(search)
if ((${#batch[@]})) && [[ $stopped == no ]]; then look; fi
while IFS= read -r line; do
  miss "${line#find: }"
done <"$complaints"
if ((SECONDS >= seconds)); then miss "the rest, because $seconds seconds were over (--seconds allows more)"; fi
printf '%d found\n' "$found" >&2
finish
