#!/usr/bin/env bash
# The original documentation's upload example, but for host and token; then its list and delete requests.
# Needs BASE_URL and TOKEN; writes each answer's body and status on a line of its own.
set -euo pipefail

# The folder of the run: the example names the file without a path.
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
printf 'Write-Output "hello"\n' >mdatp1.ps1
status=$'\n%{http_code}\n'

curl --silent --show-error --noproxy '*' -w "$status" -X POST "$BASE_URL/api/libraryfiles" \
  -H "Authorization: Bearer $TOKEN" \
  -F "file=@mdatp1.ps1" \
  -F "ParametersDescription=test" \
  -F "HasParameters=true" \
  -F "OverrideIfExists=true" \
  -F "Description=test description"
curl --silent --show-error --noproxy '*' -w "$status" "$BASE_URL/api/libraryfiles" -H "Authorization: Bearer $TOKEN"
curl --silent --show-error --noproxy '*' -w "$status" -X DELETE "$BASE_URL/api/libraryfiles/mdatp1.ps1" \
  -H "Authorization: Bearer $TOKEN"
