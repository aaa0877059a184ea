#!/bin/sh
# What starts by itself on a Mac: launch daemons and agents with what they run, login and background items, cron and at, periodic
# scripts, shell start-up files, SSH keys, kernel and system extensions, profiles, login hooks, plug-ins of the sign-in, sudo.
#
# usage: macos-persistence.sh [--changed-within DAYS] [--apple] [--limit N] [--json]
#
#   --changed-within DAYS  of files, only those written or changed in so many days
#   --apple                also the daemons and agents in /System, which are sealed and Apple's
#   --limit N              at most so many lines of a kind (5000)
#   --json                 one JSON object a line
#
# Changes nothing, and needs nothing but what macOS brings. Without root, or without Full Disk Access for the agent, it sees less,
# and says what.
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
days='' apple=no limit=5000 as_json=no
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --apple) apple=yes ;;
    --json) as_json=yes ;;
    --changed-within=*) days=${1#*=}; whole --changed-within "$days" 1 36500 ;;
    --limit=*) limit=${1#*=} ;;
    --changed-within | --limit)
      if [ $# -lt 2 ]; then wrong "$1 needs a value"; fi
      case $1 in --changed-within) days=$2; whole "$1" "$2" 1 36500 ;; --limit) limit=$2 ;; esac
      shift ;;
    *) wrong "unknown parameter \`$1\`" ;;
  esac
  shift
done
whole --limit "$limit" 1 1000000
if [ "$(uname -s 2>/dev/null)" != Darwin ]; then echo 'this script is for macOS' >&2; exit 1; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/persistence.XXXXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM
now=$(date +%s)
since=0
if [ -n "$days" ]; then since=$((now - days * 86400)); fi

flat() { printf '%s' "$1" | tr '\t\n' '  '; }

# Appends a row about the file $2 to those of the kind $1, with the text $3, unless it is too old.
note() {
  times=$(stat -f '%m %c %Su %Lp' "$2" 2>/dev/null) || { if [ -e "$2" ] || [ -L "$2" ]; then miss "$2"; fi; return 0; }
  # shellcheck disable=SC2086 # four words, none with a blank
  set -- "$1" "$2" "$3" $times
  latest=$4
  if [ "$5" -gt "$latest" ]; then latest=$5; fi
  if [ "$latest" -lt "$since" ]; then return 0; fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$(flat "$2")" "$(date -r "$latest" +%Y-%m-%dT%H:%M:%SZ)" "$6" "$7" "$(flat "$3")" >>"$work/$1"
}

# Notes each of the files that is there.
files() {
  kind=$1
  shift
  for path in "$@"; do
    if [ -e "$path" ] || [ -L "$path" ]; then note "$kind" "$path" ''; fi
  done
}

# Notes the lines of the files that are there, other than comments; at most 500 of each.
texts() {
  kind=$1
  shift
  for path in "$@"; do
    if [ ! -f "$path" ]; then continue; fi
    if [ ! -r "$path" ]; then miss "$path"; continue; fi
    sed -e 's/^[[:space:]]*//' -e '/^#/d' -e '/^$/d' "$path" | head -n 500 >"$work/lines"
    while IFS= read -r line || [ -n "$line" ]; do
      note "$kind" "$path" "$(printf '%.1000s' "$line")"
    done <"$work/lines"
  done
}

plist() { plutil -extract "$2" raw -o - -- "$1" 2>/dev/null || :; }

# Notes what the launch daemons and agents in the folders run, and when.
launch() {
  for folder in "$@"; do
    if [ ! -d "$folder" ]; then continue; fi
    if [ ! -r "$folder" ]; then miss "$folder"; continue; fi
    for path in "$folder"/*.plist; do
      if [ ! -e "$path" ] && [ ! -L "$path" ]; then continue; fi
      if [ ! -r "$path" ]; then note launchd "$path" ''; miss "$path"; continue; fi
      program=$(plist "$path" Program)
      arguments=''
      number=$(plist "$path" ProgramArguments)
      case $number in '' | *[!0-9]*) number=0 ;; esac
      i=0
      while [ "$i" -lt "$number" ] && [ "$i" -lt 64 ]; do
        arguments="$arguments $(plist "$path" "ProgramArguments.$i")"
        i=$((i + 1))
      done
      what="${program:+$program:}$arguments"
      for key in RunAtLoad KeepAlive StartInterval WatchPaths UserName Disabled; do
        value=$(plist "$path" "$key")
        if [ -n "$value" ]; then what="$what; $key=$value"; fi
      done
      note launchd "$path" "${what# }"
    done
  done
}

launch /Library/LaunchDaemons /Library/LaunchAgents /Users/*/Library/LaunchAgents /var/root/Library/LaunchAgents
if [ "$apple" = yes ]; then launch /System/Library/LaunchDaemons /System/Library/LaunchAgents; fi
texts cron /etc/crontab /usr/lib/cron/tabs/*
if [ -d /usr/lib/cron/tabs ] && [ ! -r /usr/lib/cron/tabs ]; then miss /usr/lib/cron/tabs; fi
files at /usr/lib/cron/jobs/*
files periodic /etc/periodic/*/* /usr/local/etc/periodic/*/* /etc/periodic.conf /etc/periodic.conf.local /etc/daily.local /etc/weekly.local /etc/monthly.local
files boot /etc/rc.common /etc/rc.local /Library/StartupItems/* /etc/launchd.conf /etc/emond.d/rules/* /private/var/db/emondClients/*
files shell /etc/profile /etc/bashrc /etc/zshenv /etc/zshrc /etc/zprofile /etc/zlogin /etc/zlogout
for home in /Users/* /var/root; do
  if [ ! -d "$home" ]; then continue; fi
  if [ ! -x "$home" ]; then miss "$home"; continue; fi
  for name in profile bashrc bash_profile bash_login bash_logout zshenv zshrc zprofile zlogin zlogout; do files shell "$home/.$name"; done
  texts ssh-key "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"
  files ssh-rc "$home/.ssh/rc" "$home/.ssh/environment"
  files login-window "$home/Library/Preferences/com.apple.loginitems.plist" "$home"/Library/Preferences/ByHost/com.apple.loginwindow.*.plist
done
files plug-in /Library/Security/SecurityAgentPlugins/* /Library/DirectoryServices/PlugIns/* /Library/QuickLook/* /Library/Spotlight/* \
  /Library/Audio/Plug-Ins/HAL/* /Library/ScriptingAdditions/* /Library/Extensions/* /Library/PrivilegedHelperTools/*
texts sudo /etc/sudoers /etc/sudoers.d/*
files pam /etc/pam.d/*
for hook in LoginHook LogoutHook; do
  value=$(defaults read /var/root/Library/Preferences/com.apple.loginwindow "$hook" 2>/dev/null) || continue
  printf '%s\t\t\t\t%s\n' "$hook" "$(flat "$value")" >>"$work/login-hook"
done

for file in "$work"/*; do
  kind=${file##*/}
  if [ -f "$file" ] && [ "$kind" != lines ]; then rows "$kind" path changed owner mode what <"$file"; fi
done

# What the system itself knows, a line of text each.
if command -v sfltool >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  sfltool dumpbtm 2>/dev/null | sed -n -E 's,^ *((Name|URL|Executable Path|Developer Name|Disposition|Identifier): ),\1,p' | rows background-item what
elif [ "$(id -u)" != 0 ]; then
  miss 'login and background items, which need root'
fi
kmutil showloaded --list-only 2>/dev/null | grep -v com.apple | sed '1{/^No variant/d;}' | rows kernel-extension what || :
systemextensionsctl list 2>/dev/null | sed -n '/\[/p' | tr '\t' ' ' | rows system-extension what || :
profiles list -all 2>/dev/null | sed -n '/attribute: /p' | rows profile what || :
if [ "$missed" -gt 0 ]; then exit 1; fi
