<#
Finds files on a Windows machine: by SHA-256, by name, by when they were changed.

usage: windows-find-files.ps1 [-Sha256 HEX,...] [-Sha256List FILE] [-Name GLOB|GLOB...] [-ChangedWithin HOURS]
                              [-Path FOLDER|FOLDER...] [-Hash] [-MaxMB N] [-Limit N] [-Seconds N] [-Json]

  -Sha256 HEX,...       files with this content
  -Sha256List FILE      the same, from a file with one a line (more words on the line are a remark); a relative path begins at the
                        folder that PutFile fills
  -Name GLOB|GLOB...    files with such a name, without regard to case: *.ps1|*.hta
  -ChangedWithin HOURS  created or written since
  -Path FOLDER|...      where to look (C:\Users, C:\ProgramData, C:\Windows\Temp and others; on the system's drive)
  -Hash                 says the SHA-256 of all that is found
  -MaxMB N              larger files are not hashed (256); they are not found by -Sha256
  -Limit N              stop after so many (1000)
  -Seconds N            stop after so long (300)
  -Json                 one JSON object a line

All that is said must hold; at least one thing must be said. Links and mount points are not followed. Changes nothing. Needs Windows
PowerShell 5.1 or later.
Exit code: 0 done, found or not; 1 something could not be read, or the time was over; 2 wrong usage (1 where PowerShell itself
refuses a parameter).
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [string]$Sha256 = '',
    [string]$Sha256List = '',
    [string]$Name = '',
    [string]$ChangedWithin = '',
    [string]$Path = '',
    [switch]$Hash,
    [string]$MaxMB = '256',
    [string]$Limit = '1000',
    [string]$Seconds = '300',
    [switch]$Json,
    [switch]$Help,
    [Parameter(ValueFromRemainingArguments = $true)][string[]]$Rest
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

# UTF-8 and never wrapped, whatever the console is like; elsewhere than in one, through the pipeline.
$script:out = $null
if ($Host.Name -eq 'ConsoleHost') {
    $script:out = New-Object System.IO.StreamWriter ([Console]::OpenStandardOutput()), (New-Object System.Text.UTF8Encoding $false)
    $script:out.AutoFlush = $true
}
function Write-Line([string]$Text) {
    if ($null -ne $script:out) { $script:out.WriteLine($Text) } else { Write-Output $Text }
}

function Stop-Usage([string]$Why) {
    [Console]::Error.WriteLine($Why + '; -Help tells more')
    exit 2
}

# What could not be read makes the exit code 1; the first 20 are said.
$script:missed = 0
function Write-Miss([string]$What) {
    $script:missed++
    if ($script:missed -le 20) { [Console]::Error.WriteLine('could not read: ' + $What) }
}
function Complete-Script {
    if ($script:missed -gt 20) { [Console]::Error.WriteLine("$($script:missed) things could not be read, of which 20 are named") }
    if ($script:missed -gt 0) { exit 1 }
    exit 0
}

# A whole number, or the end.
function Read-Whole([string]$Name, [string]$Text, [int]$Least, [int]$Most) {
    $number = 0
    if (-not ($Text -match '^[0-9]{1,9}$' -and [int]::TryParse($Text, [ref]$number)) -or $number -lt $Least -or $number -gt $Most) {
        Stop-Usage "$Name takes a whole number from $Least to $Most"
    }
    return $number
}

if ($Help) {
    foreach ($line in [System.IO.File]::ReadAllLines($PSCommandPath)) {
        if ($line -eq '#>') { break }
        if ($line -ne '<#') { Write-Line $line }
    }
    exit 0
}
if ($null -ne $Rest -and $Rest.Count -gt 0) { Stop-Usage ('unknown parameter `' + $Rest[0] + '`') }
if ([System.Environment]::OSVersion.Platform -ne [System.PlatformID]::Win32NT) {
    [Console]::Error.WriteLine('this script is for Windows')
    exit 1
}
$most = [long](Read-Whole '-MaxMB' $MaxMB 1 1048576) * 1048576
$maximum = Read-Whole '-Limit' $Limit 1 1000000
$time = Read-Whole '-Seconds' $Seconds 1 86400
$since = $null
if ($ChangedWithin -ne '') { $since = [datetime]::UtcNow.AddHours(-(Read-Whole '-ChangedWithin' $ChangedWithin 1 876000)) }

$wanted = @{}
function Add-Wanted([string]$Text) {
    $sum = $Text.Trim().ToLowerInvariant()
    if ($sum -notmatch '^[0-9a-f]{64}$') { Stop-Usage ('`' + $Text + '` is no SHA-256: it takes 64 hexadecimal digits') }
    $wanted[$sum] = $true
}
if ($Sha256 -ne '') { foreach ($one in $Sha256.Split(',')) { Add-Wanted $one } }
$base = $env:JUMPBAG_FILES
if ([string]::IsNullOrEmpty($base)) { $base = (Get-Location -PSProvider FileSystem).ProviderPath }
if ($Sha256List -ne '') {
    try { $list = [System.IO.File]::ReadAllLines([System.IO.Path]::Combine($base, $Sha256List)) } catch {
        Stop-Usage ('the list `' + $Sha256List + '` cannot be read: ' + $_.Exception.Message)
    }
    foreach ($line in $list) {
        $word = ($line.Trim() -split '\s+')[0]
        if ($word -ne '' -and -not $word.StartsWith('#')) { Add-Wanted $word }
    }
}
$globs = @()
if ($Name -ne '') {
    foreach ($one in $Name.Split('|')) {
        if ($one -eq '') { Stop-Usage '-Name takes names' }
        # Of a glob only * and ? mean something; brackets are allowed in names.
        $pattern = '^' + [regex]::Escape($one).Replace('\*', '.*').Replace('\?', '.') + '$'
        $options = [System.Text.RegularExpressions.RegexOptions]'IgnoreCase, Singleline, CultureInvariant'
        $globs += New-Object System.Text.RegularExpressions.Regex $pattern, $options
    }
}
if ($wanted.Count -eq 0 -and $globs.Count -eq 0 -and $null -eq $since) {
    Stop-Usage 'say what to look for: -Sha256, -Sha256List, -Name or -ChangedWithin'
}
$folders = @()
if ($Path -ne '') {
    foreach ($one in $Path.Split('|')) {
        if ($one -eq '' -or $one.IndexOfAny([System.IO.Path]::GetInvalidPathChars()) -ge 0) { Stop-Usage '-Path takes folders' }
        $full = [System.IO.Path]::Combine($base, $one)
        if (-not [System.IO.Directory]::Exists($full)) { Stop-Usage ('there is no folder `' + $one + '`') }
        $folders += $full
    }
} else {
    $drive = $env:SystemDrive + '\'
    foreach ($one in @('Users', 'ProgramData', 'Windows\Temp', 'Windows\Tasks', 'Windows\System32\Tasks', 'inetpub', 'Temp', 'PerfLogs', '$Recycle.Bin')) {
        $full = [System.IO.Path]::Combine($drive, $one)
        if ([System.IO.Directory]::Exists($full)) { $folders += $full }
    }
}

# One thing found, at most $Limit of a section: a line of JSON, or of KEY=VALUE without the empty ones.
$script:lines = 0
function Write-Found([string]$Kind, [System.Collections.Specialized.OrderedDictionary]$Values) {
    $script:lines++
    if ($script:lines -gt $maximum) {
        if ($script:lines -eq $maximum + 1) {
            [Console]::Error.WriteLine("more than $maximum lines: the rest is left out, -Limit allows more")
        }
        return
    }
    if ($Json) {
        $all = [ordered]@{ kind = $Kind }
        foreach ($key in $Values.Keys) { $all[$key] = $Values[$key] }
        Write-Line (ConvertTo-Json -InputObject ([pscustomobject]$all) -Compress -Depth 3)
        return
    }
    $text = $Kind
    foreach ($key in $Values.Keys) {
        $value = [string]$Values[$key]
        if ($value -ne '') {
            $value = [regex]::Replace($value, '[\x00-\x1f\x7f-\x9f]', { param($match) '\x{0:x2}' -f [int][char]$match.Value })
            $text += '  ' + $key + '=' + $value
        }
    }
    Write-Line $text
}

function Format-Time($Time) {
    if ($null -eq $Time) { return $null }
    return ([datetime]$Time).ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', [System.Globalization.CultureInfo]::InvariantCulture)
}

# Runs a part that other parts do not depend on: what fails is said, and the next part goes on.
function Invoke-Part([string]$Name, [scriptblock]$Part) {
    try { & $Part } catch { Write-Miss ($Name + ': ' + $_.Exception.Message) }
}

# The SHA-256 of a file, also of one that others write to. Fails where it cannot be read.
function Get-Sha256([string]$File) {
    $share = [System.IO.FileShare]::ReadWrite -bor [System.IO.FileShare]::Delete
    $stream = [System.IO.File]::Open($File, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, $share)
    $algorithm = [System.Security.Cryptography.SHA256]::Create()
    try {
        return [System.BitConverter]::ToString($algorithm.ComputeHash($stream)).Replace('-', '').ToLowerInvariant()
    } finally {
        $algorithm.Dispose()
        $stream.Dispose()
    }
}

function Test-Name([string]$Text) {
    if ($globs.Count -eq 0) { return $true }
    foreach ($glob in $globs) {
        if ($glob.IsMatch($Text)) { return $true }
    }
    return $false
}

$clock = [System.Diagnostics.Stopwatch]::StartNew()
$script:found = 0
function Show-File([System.IO.FileInfo]$File) {
    if (-not (Test-Name $File.Name)) { return }
    if ($null -ne $since -and $File.LastWriteTimeUtc -lt $since -and $File.CreationTimeUtc -lt $since) { return }
    $sum = $null
    if (($wanted.Count -gt 0 -or $Hash) -and $File.Length -le $most) {
        # What is not wholly on the machine would be fetched by reading it.
        $away = 0x1000 -bor 0x40000 -bor 0x400000
        if (([int]$File.Attributes -band $away) -ne 0) { return }
        try { $sum = Get-Sha256 $File.FullName } catch { Write-Miss ($File.FullName + ': ' + $_.Exception.Message) }
    }
    if ($wanted.Count -gt 0 -and ($null -eq $sum -or -not $wanted.ContainsKey($sum))) { return }
    $script:found++
    Write-Found 'file' ([ordered]@{
        path = $File.FullName; size = $File.Length; created = Format-Time $File.CreationTimeUtc; written = Format-Time $File.LastWriteTimeUtc
        attributes = [string]$File.Attributes; sha256 = $sum
    })
}

$waiting = New-Object System.Collections.Stack
for ($i = $folders.Count - 1; $i -ge 0; $i--) { $waiting.Push($folders[$i]) }
$over = $false
while ($waiting.Count -gt 0 -and -not $over -and $script:found -lt $maximum) {
    $folder = [string]$waiting.Pop()
    try { $entries = (New-Object System.IO.DirectoryInfo $folder).GetFileSystemInfos() } catch {
        Write-Miss ($folder + ': ' + $_.Exception.Message)
        continue
    }
    foreach ($entry in $entries) {
        if ($clock.Elapsed.TotalSeconds -ge $time) { $over = $true; break }
        if ($script:found -ge $maximum) { break }
        if ($entry -is [System.IO.DirectoryInfo]) {
            if (($entry.Attributes -band [System.IO.FileAttributes]::ReparsePoint) -eq 0) { $waiting.Push($entry.FullName) }
        } else {
            try { Show-File $entry } catch { Write-Miss ($entry.FullName + ': ' + $_.Exception.Message) }
        }
    }
}
if ($script:found -ge $maximum) { [Console]::Error.WriteLine("stopped after $($script:found) files: -Limit allows more") }
if ($over) { Write-Miss "the rest, because $time seconds were over (-Seconds allows more)" }
[Console]::Error.WriteLine("$($script:found) found")
Complete-Script
