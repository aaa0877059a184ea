#!/bin/sh
# A snapshot of a Mac: what it is, who is on it, what runs, who it talks to, what starts by itself.
#
# usage: macos-triage.sh [--only SECTION,…] [--no-hash] [--signatures] [--limit N] [--json]
#
#   --only SECTION,…  some of: host, users, processes, connections, autostarts (all)
#   --no-hash         no SHA-256 of the programs that run
#   --signatures      says of each program that runs whether its signature is valid, and whose it is; slow
#   --limit N         at most so many lines of a kind (5000)
#   --json            one JSON object a line
#
# Changes nothing, and needs nothing but what macOS brings. Without root it sees its own user's connections only, and says so.
# Exit code: 0 done, 1 something could not be read, 2 wrong usage.
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
# Shows rows of fields with a tab between: rows KIND KEY… with the rows on standard input. A line of JSON each, or of KEY=VALUE
# without the empty ones; a KEY that ends in # has a number. Control characters become \u00XX; what is not UTF-8 stays as it is.
rows() {
  awk -F '\t' -v json="$as_json" -v limit="$limit" -v kind="$1" -v keys="$(shift; printf '%s ' "$@")" '
    BEGIN {
      count = split(keys, key, " ")
      for (i = 1; i < 32; i++) code[sprintf("%c", i)] = sprintf("\\u%04x", i)
      code["\177"] = "\\u007f"
    }
    function quoted(text, backslash,   out, i, c) {
      if (text !~ /[\001-\037\177"\\]/) return text
      out = ""
      for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c in code) out = out code[c]
        else if (backslash && (c == "\"" || c == "\\")) out = out "\\" c
        else out = out c
      }
      return out
    }
    NR > limit {
      if (NR == limit + 1) print "more than " limit " lines of " kind ": the rest is left out, --limit allows more" > "/dev/stderr"
      next
    }
    {
      line = json == "yes" ? "{\"kind\":\"" kind "\"" : kind
      for (i = 1; i <= count; i++) {
        name = key[i]
        number = sub(/#$/, "", name)
        # The last field has what is left, tabs and all.
        value = $i
        if (i == count) for (j = i + 1; j <= NF; j++) value = value "\t" $j
        if (json == "yes") {
          if (value == "") value = "null"
          else if (!number) value = "\"" quoted(value, 1) "\""
          line = line ",\"" name "\":" value
        } else if (value != "") line = line "  " name "=" quoted(value, 0)
      }
      print json == "yes" ? line "}" : line
    }'
}
sections=host,users,processes,connections,autostarts
only=$sections hashing=yes signatures=no limit=5000 as_json=no
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --no-hash) hashing=no ;;
    --signatures) signatures=yes ;;
    --json) as_json=yes ;;
    --only=*) only=${1#*=} ;;
    --limit=*) limit=${1#*=} ;;
    --only | --limit)
      if [ $# -lt 2 ]; then wrong "$1 needs a value"; fi
      case $1 in --only) only=$2 ;; --limit) limit=$2 ;; esac
      shift ;;
    *) wrong "unknown parameter \`$1\`" ;;
  esac
  shift
done
whole --limit "$limit" 1 1000000
left=$only
while [ -n "$left" ]; do
  one=${left%%,*}
  case ,$sections, in
    *",$one,"*) ;;
    *) wrong "there is no section \`$one\`: --only takes some of: $sections" ;;
  esac
  case $left in *,*) left=${left#*,} ;; *) left='' ;; esac
done
if [ -z "$only" ]; then wrong "--only takes some of: $sections"; fi
if [ "$(uname -s 2>/dev/null)" != Darwin ]; then echo 'this script is for macOS' >&2; exit 1; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/triage.XXXXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

wants() {
  case ,$only, in *",$1,"*) ;; *) return 1 ;; esac
  if [ "$as_json" = no ]; then printf '\n== %s\n' "$1"; fi
}

host() {
  printf '%s\t%s %s (%s)\t%s\t%s\t%s\t%s\t%s\n' "$(uname -n)" "$(sw_vers -productName)" "$(sw_vers -productVersion)" \
    "$(sw_vers -buildVersion)" "$(uname -rm)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    "$(sysctl -n kern.boottime | sed -n 's/^{ sec = \([0-9]*\),.*/\1/p')" \
    "$(csrutil status 2>/dev/null | sed 's/^System Integrity Protection status: //' | head -n 1)" "$(id -un)" \
    | rows host name os kernel time bootedAt# integrityProtection asUser
  ifconfig | awk '/^[a-z]/ { name = $1; sub(/:$/, "", name) } $1 == "inet" || $1 == "inet6" { print name "\t" $2 }' | rows address interface address
}

users() {
  dscl . -list /Users UniqueID >"$work/users" 2>/dev/null || miss 'the users (dscl)'
  while read -r name uid; do
    case $name in _*) continue ;; esac
    home=$(dscl . -read "/Users/$name" NFSHomeDirectory 2>/dev/null | sed -n 's/^NFSHomeDirectory: //p')
    shell=$(dscl . -read "/Users/$name" UserShell 2>/dev/null | sed -n 's/^UserShell: //p')
    admin=''
    if dsmemberutil checkmembership -U "$name" -G admin 2>/dev/null | grep -q 'is a member'; then admin=administrator; fi
    keys=''
    if [ -n "$home" ] && [ -r "$home/.ssh/authorized_keys" ]; then keys=$home/.ssh/authorized_keys; fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$uid" "$home" "$shell" "$admin" "$keys"
  done <"$work/users" | rows account name uid# home shell note authorizedKeys
  who | rows session who
}

# Rows of a path, its SHA-256 and its signature, for the paths on standard input.
programs() {
  while IFS= read -r path; do
    sum='' signature=''
    if [ ! -f "$path" ]; then continue; fi
    if [ "$hashing" = yes ]; then sum=$(shasum -a 256 <"$path" 2>/dev/null | cut -d' ' -f1) || sum=''; fi
    if [ "$signatures" = yes ]; then
      if codesign --verify "$path" 2>/dev/null; then
        signature=$(codesign -dvv "$path" 2>&1 | sed -n 's/^Authority=//p; s/^Signature=adhoc/ad hoc/p' | head -n 1)
        signature="valid: ${signature:-unknown}"
      else
        signature='not valid, or none'
      fi
    fi
    printf '%s\t%s\t%s\n' "$path" "$sum" "$signature"
  done
}

processes() {
  # A name and a command line may hold anything, so each is the last of its line.
  ps -axww -o pid=,comm= >"$work/names" || miss 'the processes (ps)'
  ps -axww -o pid=,ppid=,user=,lstart=,args= >"$work/processes" || miss 'the processes (ps)'
  sed 's/^ *[0-9]* *//' "$work/names" | sort -u >"$work/paths"
  if [ "$hashing" = yes ] || [ "$signatures" = yes ]; then programs <"$work/paths" >"$work/programs"; else : >"$work/programs"; fi
  awk -v programs="$work/programs" -v names="$work/names" -v OFS='\t' '
    # The text after the first `fields` fields of a line.
    function after(line, fields,   i) {
      for (i = 0; i < fields; i++) { sub(/^ +/, "", line); sub(/^[^ ]+/, "", line) }
      sub(/^ +/, "", line)
      gsub(/\t/, " ", line)
      return line
    }
    BEGIN {
      while ((getline line < programs) > 0) { split(line, part, "\t"); sum[part[1]] = part[2]; signature[part[1]] = part[3] }
      while ((getline line < names) > 0) { split(line, part, " "); exe[part[1]] = after(line, 1) }
    }
    $1 ~ /^[0-9]+$/ && $2 ~ /^[0-9]+$/ {
      path = exe[$1]
      month = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $5) + 2) / 3
      started = sprintf("%s-%02d-%02dT%sZ", $8, month, $6, $7)
      print $1, $2, $3, started, path, sum[path], signature[path], after($0, 8)
    }' "$work/processes" | sort -n | rows process pid# parent# user started exe sha256 signature command
}

connections() {
  if [ "$(id -u)" != 0 ]; then miss 'connections of other users, which need root'; fi
  # One field a line, each by its letter, so that no name can be mistaken for another field.
  lsof -nP -i -F pcLnPT 2>/dev/null >"$work/sockets" || :
  awk -v OFS='\t' '
    function flush(   part) {
      if (name != "") {
        split(name, part, "->")
        print protocol, state, part[1], part[2], pid, user, command
      }
      name = state = protocol = ""
    }
    { letter = substr($0, 1, 1); text = substr($0, 2); gsub(/\t/, " ", text) }
    letter == "p" { flush(); pid = text; command = user = ""; next }
    letter == "c" { command = text; next }
    letter == "L" { user = text; next }
    letter == "f" { flush(); next }
    letter == "P" { protocol = tolower(text); next }
    letter == "n" { name = text; next }
    letter == "T" && text ~ /^ST=/ { state = substr(text, 4); next }
    END { flush() }' "$work/sockets" | rows connection protocol state local remote pid# user name
}

autostarts() {
  for folder in /Library/LaunchDaemons /Library/LaunchAgents /Library/StartupItems /Users/*/Library/LaunchAgents /var/root/Library/LaunchAgents \
    /etc/periodic/daily /etc/periodic/weekly /etc/periodic/monthly /usr/lib/cron/tabs; do
    if [ ! -d "$folder" ]; then continue; fi
    if [ ! -r "$folder" ]; then miss "$folder"; continue; fi
    for path in "$folder"/*; do
      if [ -e "$path" ] || [ -L "$path" ]; then
        printf '%s\t%s\n' "$(stat -f %Sm -t %Y-%m-%dT%H:%M:%SZ "$path" 2>/dev/null)" "$(printf '%s' "$path" | tr '\t\n' '??')"
      fi
    done
  done >"$work/autostarts"
  rows autostart written path <"$work/autostarts"
}

if wants host; then host; fi
if wants users; then users; fi
if wants processes; then processes; fi
if wants connections; then connections; fi
if wants autostarts; then autostarts; fi
if [ "$missed" -gt 0 ]; then exit 1; fi
