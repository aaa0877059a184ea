<#
Collects the event logs of the last hours of a Windows machine into an archive that GetFile fetches.

usage: windows-logs.ps1 [-Hours N] [-Channel NAME|NAME...] [-All] [-MaxMB N]

  -Hours N        events of so many hours back (24)
  -Channel NAME   in place of the usual ones; several are separated by |
  -All            every channel
  -MaxMB N        stop taking channels when so much was exported, before compression (1024)

The usual channels: System, Application, Security, PowerShell, Defender, Sysmon, task scheduler, remote desktop, WMI, BITS, firewall,
code integrity, WinRM, SMB; those that a machine does not have are left out.

Writes logs-HOST-TIME.zip with .evtx files into $env:JUMPBAG_FILES (else the working folder), and changes nothing else. Needs Windows
PowerShell 5.1 or later, and administrator for Security.
Exit code: 0 done, 1 something could not be read or written, 2 wrong usage (1 where PowerShell itself refuses a parameter).
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [string]$Hours = '24',
    [string]$Channel = '',
    [switch]$All,
    [string]$MaxMB = '1024',
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
$back = Read-Whole '-Hours' $Hours 1 87600
$most = Read-Whole '-MaxMB' $MaxMB 1 1048576
if ($All -and $Channel -ne '') { Stop-Usage '-All and -Channel exclude each other' }
$asked = @($Channel.Split('|') | ForEach-Object { $_.Trim() } | Where-Object { $_ -ne '' })
if ($Channel -ne '' -and $asked.Count -eq 0) { Stop-Usage '-Channel takes the name of a channel' }
foreach ($name in $asked) {
    if ($name -match '[\x00-\x1f"]' -or $name.StartsWith('/') -or $name.StartsWith('-')) { Stop-Usage ('`' + $name + '` is no name of a channel') }
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

# Where the archive will be, and a folder beside it for what is gathered.
$files = $env:JUMPBAG_FILES
if ([string]::IsNullOrEmpty($files)) { $files = (Get-Location -PSProvider FileSystem).ProviderPath }
$stamp = [datetime]::UtcNow.ToString('yyyyMMddTHHmmssZ', [System.Globalization.CultureInfo]::InvariantCulture)
$machine = $env:COMPUTERNAME -replace '[^A-Za-z0-9.-]', '_'
$stage = Join-Path $files ('gathering-' + [guid]::NewGuid().ToString('N'))

# Makes the archive of what was gathered, and says what it is.
function Save-Archive([string]$Name) {
    $target = Join-Path $files $Name
    Add-Type -AssemblyName System.IO.Compression.FileSystem
    [System.IO.Compression.ZipFile]::CreateFromDirectory($stage, $target)
    Write-Line ('archive: ' + $Name)
    Write-Line ('size: ' + (New-Object System.IO.FileInfo $target).Length)
    Write-Line ('sha256: ' + (Get-Sha256 $target))
}

# What a program of Windows says, as lines, and its exit code in $script:code.
function Invoke-Program([string]$Program, [string[]]$Arguments) {
    # With `Stop`, Windows PowerShell 5.1 ends at the first line on standard error.
    $ErrorActionPreference = 'Continue'
    $said = @(& $Program @Arguments 2>&1 | ForEach-Object { [string]$_ })
    $script:code = $LASTEXITCODE
    return $said
}

$usual = @(
    'System', 'Application', 'Security', 'Windows PowerShell', 'Microsoft-Windows-PowerShell/Operational', 'PowerShellCore/Operational'
    'Microsoft-Windows-Windows Defender/Operational', 'Microsoft-Windows-Sysmon/Operational'
    'Microsoft-Windows-TaskScheduler/Operational', 'Microsoft-Windows-TerminalServices-LocalSessionManager/Operational'
    'Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational', 'Microsoft-Windows-TerminalServices-RDPClient/Operational'
    'Microsoft-Windows-WMI-Activity/Operational', 'Microsoft-Windows-Bits-Client/Operational'
    'Microsoft-Windows-Windows Firewall With Advanced Security/Firewall', 'Microsoft-Windows-CodeIntegrity/Operational'
    'Microsoft-Windows-AppLocker/EXE and DLL', 'Microsoft-Windows-AppLocker/MSI and Script', 'Microsoft-Windows-WinRM/Operational'
    'Microsoft-Windows-SMBServer/Security', 'Microsoft-Windows-SmbClient/Security', 'Microsoft-Windows-DNS-Client/Operational'
)
$tool = Join-Path $env:SystemRoot 'System32\wevtutil.exe'

try { [void][System.IO.Directory]::CreateDirectory($stage) } catch {
    [Console]::Error.WriteLine('cannot write into ' + $files + ': ' + $_.Exception.Message)
    exit 1
}
try {
    $present = @(Invoke-Program $tool @('el'))
    $channels = $usual
    if ($All) { $channels = $present } elseif ($asked.Count -gt 0) { $channels = $asked }
    $query = '*[System[TimeCreated[timediff(@SystemTime) <= ' + ([long]$back * 3600000) + ']]]'
    $total = [long]0
    $count = 0
    foreach ($name in $channels) {
        if ($present -notcontains $name) {
            if ($asked.Count -gt 0) { Write-Miss ($name + ': there is no such channel') }
            continue
        }
        if ($total -ge [long]$most * 1048576) { Write-Miss ($name + ': -MaxMB is reached'); continue }
        $count++
        $file = Join-Path $stage (('{0:d3} ' -f $count) + ($name -replace '[^A-Za-z0-9 ._-]', '_') + '.evtx')
        $said = @(Invoke-Program $tool @('export-log', $name, $file, ('/query:' + $query)))
        if ($script:code -ne 0) {
            # Channels for debugging cannot be exported while they are on.
            if (-not $All) { Write-Miss ($name + ': ' + ($said -join ' ')) }
            if ([System.IO.File]::Exists($file)) { [System.IO.File]::Delete($file) }
            continue
        }
        $size = (New-Object System.IO.FileInfo $file).Length
       
        $total += $size
        Write-Line ($name + ': ' + $size + ' bytes')
    }
    Save-Archive ('logs-' + $machine + '-' + $stamp + '.zip')
} catch {
    Write-Miss $_.Exception.Message
} finally {
    Remove-Item -LiteralPath $stage -Recurse -Force -ErrorAction SilentlyContinue
}
Complete-Script
