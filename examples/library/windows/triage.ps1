<#
A snapshot of a Windows machine: what it is, who is on it, what runs, who it talks to, what starts by itself.

usage: windows-triage.ps1 [-Only SECTION,...] [-NoHash] [-Signatures] [-Seconds N] [-Limit N] [-Json]

  -Only SECTION,...  some of: host, users, processes, connections, autostarts (all)
  -NoHash            no SHA-256 of the programs that run
  -Signatures        says of each program whether its signature is valid, and whose it is; slow
  -Seconds N         hash and check signatures for at most this long (120)
  -Limit N           at most so many lines a section (5000)
  -Json              one JSON object a line

Changes nothing. Needs Windows PowerShell 5.1 or later; without administrator it sees less.
Exit code: 0 done, 1 something could not be read, 2 wrong usage (1 where PowerShell itself refuses a parameter).
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [string]$Only = 'host,users,processes,connections,autostarts',
    [switch]$NoHash,
    [switch]$Signatures,
    [string]$Seconds = '120',
    [string]$Limit = '5000',
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
$known = @('host', 'users', 'processes', 'connections', 'autostarts')
$sections = @($Only.Split(',') | ForEach-Object { $_.Trim().ToLowerInvariant() })
foreach ($section in $sections) {
    if ($known -notcontains $section) { Stop-Usage ('there is no section `' + $section + '`: -Only takes some of: ' + ($known -join ',')) }
}
$time = Read-Whole '-Seconds' $Seconds 1 3600
$maximum = Read-Whole '-Limit' $Limit 1 1000000
$clock = [System.Diagnostics.Stopwatch]::StartNew()

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

function Show-Host {
    $system = Get-CimInstance -ClassName Win32_OperatingSystem
    $computer = Get-CimInstance -ClassName Win32_ComputerSystem
    Write-Found 'host' ([ordered]@{
        name = $computer.Name; domain = $computer.Domain; os = $system.Caption; version = $system.Version
        architecture = $system.OSArchitecture; time = Format-Time (Get-Date); booted = Format-Time $system.LastBootUpTime
        installed = Format-Time $system.InstallDate; consoleUser = $computer.UserName
        asUser = [System.Security.Principal.WindowsIdentity]::GetCurrent().Name
    })
    foreach ($adapter in @(Get-CimInstance -ClassName Win32_NetworkAdapterConfiguration -Filter 'IPEnabled = TRUE')) {
        Write-Found 'adapter' ([ordered]@{
            name = $adapter.Description; mac = $adapter.MACAddress; addresses = (@($adapter.IPAddress) -join ' ')
            gateways = (@($adapter.DefaultIPGateway) -join ' '); dns = (@($adapter.DNSServerSearchOrder) -join ' ')
        })
    }
}

function Show-Users {
    foreach ($user in @(Get-CimInstance -ClassName Win32_UserAccount -Filter 'LocalAccount = TRUE')) {
        Write-Found 'account' ([ordered]@{
            name = $user.Name; sid = $user.SID; disabled = $user.Disabled; passwordRequired = $user.PasswordRequired; what = $user.Description
        })
    }
    # The group has another name in each language, but one number everywhere.
    Invoke-Part 'members of the administrators' {
        foreach ($group in @(Get-CimInstance -ClassName Win32_Group -Filter "LocalAccount = TRUE AND SID = 'S-1-5-32-544'")) {
            foreach ($member in @(Get-CimAssociatedInstance -InputObject $group -Association Win32_GroupUser)) {
                Write-Found 'administrator' ([ordered]@{ name = $member.Caption; sid = $member.SID })
            }
        }
    }
    foreach ($folder in @(Get-CimInstance -ClassName Win32_UserProfile -Filter 'Special = FALSE')) {
        Write-Found 'profile' ([ordered]@{
            sid = $folder.SID; path = $folder.LocalPath; loaded = $folder.Loaded; lastUsed = Format-Time $folder.LastUseTime
        })
    }
    Invoke-Part 'sessions' {
        foreach ($session in @(Get-CimInstance -ClassName Win32_LogonSession)) {
            foreach ($user in @(Get-CimAssociatedInstance -InputObject $session -ResultClassName Win32_Account -ErrorAction SilentlyContinue)) {
                Write-Found 'session' ([ordered]@{
                    user = $user.Caption; type = $session.LogonType; started = Format-Time $session.StartTime; by = $session.AuthenticationPackage
                })
            }
        }
    }
}

# What is known of a program's file; each is looked at once.
$script:programs = @{}
function Get-Program([string]$File) {
    $key = $File.ToLowerInvariant()
    if ($script:programs.ContainsKey($key)) { return $script:programs[$key] }
    $about = @{ sha256 = $null; signature = $null; signer = $null }
    if ($clock.Elapsed.TotalSeconds -lt $time) {
        if (-not $NoHash) {
            try { $about.sha256 = Get-Sha256 $File } catch { Write-Miss ($File + ': ' + $_.Exception.Message) }
        }
        if ($Signatures) {
            try {
                $signature = Get-AuthenticodeSignature -LiteralPath $File
                $about.signature = [string]$signature.Status
                if ($null -ne $signature.SignerCertificate) { $about.signer = $signature.SignerCertificate.Subject }
            } catch { Write-Miss ($File + ': ' + $_.Exception.Message) }
        }
    } else {
        $script:late = $true
    }
    $script:programs[$key] = $about
    return $about
}

$script:late = $false
function Show-Processes {
    foreach ($process in @(Get-CimInstance -ClassName Win32_Process)) {
        $owner = $null
        try {
            $answer = Invoke-CimMethod -InputObject $process -MethodName GetOwner
            if ($answer.ReturnValue -eq 0) { $owner = $answer.Domain + '\' + $answer.User }
        } catch {
            # It ended meanwhile.
            continue
        }
        $about = @{ sha256 = $null; signature = $null; signer = $null }
        if (-not [string]::IsNullOrEmpty($process.ExecutablePath)) { $about = Get-Program $process.ExecutablePath }
        Write-Found 'process' ([ordered]@{
            pid = $process.ProcessId; parent = $process.ParentProcessId; user = $owner; session = $process.SessionId
            started = Format-Time $process.CreationDate; name = $process.Name; exe = $process.ExecutablePath; sha256 = $about.sha256
            signature = $about.signature; signer = $about.signer; command = $process.CommandLine
        })
    }
    if ($script:late) { [Console]::Error.WriteLine("it took longer than $time seconds: some programs have no SHA-256 or signature") }
}

function Show-Connections {
    $names = @{}
    foreach ($process in @(Get-CimInstance -ClassName Win32_Process -Property @('ProcessId', 'Name', 'ExecutablePath'))) {
        $names[[string]$process.ProcessId] = $process
    }
    foreach ($one in @(Get-NetTCPConnection)) {
        $name = $null; $exe = $null; $key = [string]$one.OwningProcess
        if ($names.ContainsKey($key)) { $name = $names[$key].Name; $exe = $names[$key].ExecutablePath }
        Write-Found 'connection' ([ordered]@{
            protocol = 'tcp'; state = [string]$one.State; local = "[$($one.LocalAddress)]:$($one.LocalPort)"
            remote = "[$($one.RemoteAddress)]:$($one.RemotePort)"; pid = $one.OwningProcess; name = $name; exe = $exe
            created = Format-Time $one.CreationTime
        })
    }
    foreach ($one in @(Get-NetUDPEndpoint)) {
        $name = $null; $exe = $null; $key = [string]$one.OwningProcess
        if ($names.ContainsKey($key)) { $name = $names[$key].Name; $exe = $names[$key].ExecutablePath }
        Write-Found 'connection' ([ordered]@{
            protocol = 'udp'; state = 'open'; local = "[$($one.LocalAddress)]:$($one.LocalPort)"; remote = $null
            pid = $one.OwningProcess; name = $name; exe = $exe; created = Format-Time $one.CreationTime
        })
    }
    Invoke-Part 'names that were resolved' {
        foreach ($one in @(Get-DnsClientCache)) {
            Write-Found 'resolved' ([ordered]@{ name = $one.Entry; record = $one.Name; data = $one.Data })
        }
    }
}

function Show-Autostarts {
    foreach ($one in @(Get-CimInstance -ClassName Win32_StartupCommand)) {
        Write-Found 'autostart' ([ordered]@{ name = $one.Name; user = $one.User; place = $one.Location; command = $one.Command })
    }
    foreach ($service in @(Get-CimInstance -ClassName Win32_Service -Filter "StartMode = 'Auto'")) {
        Write-Found 'service' ([ordered]@{
            name = $service.Name; state = $service.State; user = $service.StartName; pid = $service.ProcessId; command = $service.PathName
        })
    }
}

foreach ($section in $sections) {
    $script:lines = 0
    if (-not $Json) { Write-Line ''; Write-Line ('== ' + $section) }
    switch ($section) {
        'host' { Invoke-Part 'host' { Show-Host } }
        'users' { Invoke-Part 'users' { Show-Users } }
        'processes' { Invoke-Part 'processes' { Show-Processes } }
        'connections' { Invoke-Part 'connections' { Show-Connections } }
        'autostarts' { Invoke-Part 'autostarts' { Show-Autostarts } }
    }
}
Complete-Script
